"""A user's own strategy: a .py file with one Strategy class.

The host looks at the file with `inspect_source`, which parses and never runs it; the worker runs it with
`load`, inside its sandbox. Both agree on the content by its hash, which also names the revision.
"""

import ast
import hashlib
import importlib.util
import re
import sys
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

import msgspec

from strategies.errors import USER_CODE_ERRORS, StrategyFileError, describe_raised
from strategies.strategy import LOOKBACK_MAX, Strategy, snake_case

SOURCE_BYTES_MAX = 262_144
"""Longest file accepted: it travels to every worker."""
NAME_PATTERN = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
"""A strategy's name is printed, logged and sent: a letter, then up to 63 letters, digits, ``_`` or ``-``."""

_EXAMPLE = "write one: class MyStrategy(Strategy) with lookback = 20 and def signal(self, bars)"


class StrategySource(msgspec.Struct, frozen=True, kw_only=True):
    """What can be known of a strategy file without running it."""

    filename: str
    """The file as it was named, for messages."""
    class_name: str
    """The one Strategy class in it."""
    name: str
    """The strategy's name: the literal the class sets, or the class name in snake_case."""
    lookback: int | None
    """Bars it wants to see; None when the file computes it, then only the worker knows."""
    sha256: str
    """`content_hash` of the source."""


def content_hash(source: str) -> str:
    """Return the SHA-256 of the source as UTF-8, in hex."""
    return hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()


def read_source(path: Path) -> str:
    """Return the text of a strategy file. Raises StrategyFileError for a missing, huge or other file."""
    if path.suffix != ".py":
        raise StrategyFileError(f"{path}: a strategy file ends in .py")
    try:
        content = path.read_bytes()
        source = content.decode("utf-8-sig")
    except FileNotFoundError:
        raise StrategyFileError(f"{path}: there is no such file; give a path from {Path.cwd()}") from None
    except OSError as error:
        raise StrategyFileError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise StrategyFileError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from error
    if len(content) > SOURCE_BYTES_MAX:
        raise StrategyFileError(
            f"{path}: {len(content)} bytes, more than the {SOURCE_BYTES_MAX} allowed; keep data out of it"
        )
    return source


def inspect_source(source: str, filename: str) -> StrategySource:
    """Find the one Strategy class of a file without running any of it.

    Raises StrategyFileError as ``file:line: reason`` for a syntax error, and saying what was found when there
    is not exactly one top-level class that has Strategy among its bases, defines `signal` and sets
    `lookback`.
    """
    node = _only_strategy_class(_parse(source, filename), filename)
    where = f"{filename}:{node.lineno}"
    name, lookback = _class_value(node, "name"), _class_value(node, "lookback")
    if lookback is None:
        raise StrategyFileError(f"{where}: {node.name} sets no lookback; say how many bars it wants: lookback = 20")
    chosen_name = snake_case(node.name)
    if isinstance(name, ast.Constant):
        chosen_name = _check_name(name.value, where)
    is_literal = isinstance(lookback, ast.Constant | ast.UnaryOp)
    return StrategySource(
        filename=filename,
        class_name=node.name,
        name=chosen_name,
        lookback=_check_lookback(_literal(lookback), where) if is_literal else None,
        sha256=content_hash(source),
    )


def load(path: Path) -> Strategy:
    """Run a strategy file and return its strategy. For workers only: this executes the user's code.

    Raises StrategyFileError when the file cannot be read or parsed, raises while it runs, or has a class that
    cannot be made without arguments or that has a wrong name or lookback.
    """
    source = read_source(path)
    found = inspect_source(source, str(path))
    module = _run(path, source=source, module_name=f"user_strategy_{found.sha256[:8]}")
    kind: object = getattr(module, found.class_name, None)
    if not (isinstance(kind, type) and issubclass(kind, Strategy)):
        raise StrategyFileError(
            f"{path}: {found.class_name} is no Strategy once the file has run; "
            "import Strategy from strategies and do not replace the class"
        )
    try:
        strategy: Strategy = kind()
    except USER_CODE_ERRORS as error:
        raise StrategyFileError(
            f"{path}: {found.class_name}() raised {describe_raised(error)}; a strategy is made without arguments"
        ) from error
    where = f"{path}: {found.class_name}"
    _check_name(strategy.name, where)
    _check_lookback(getattr(strategy, "lookback", None), where)
    return strategy


class _TextLoader(SourceFileLoader):
    """Runs exactly the text that was inspected, and leaves no cached bytecode beside the user's file."""

    def __init__(self, module_name: str, path: str, *, source: str) -> None:
        super().__init__(module_name, path)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._source, self.path, "exec", dont_inherit=True)


def _run(path: Path, *, source: str, module_name: str) -> ModuleType:
    loader = _TextLoader(module_name, str(path), source=source)
    module = importlib.util.module_from_spec(ModuleSpec(module_name, loader, origin=str(path)))
    sys.modules[module_name] = module  # dataclasses and pickles look their module up there
    try:
        loader.exec_module(module)
    except (*USER_CODE_ERRORS, SystemExit) as error:
        del sys.modules[module_name]
        raise StrategyFileError(f"{path}: running the file raised {describe_raised(error)}") from error
    return module


def _parse(source: str, filename: str) -> ast.Module:
    try:
        return ast.parse(source, filename)
    except SyntaxError as error:
        raise StrategyFileError(f"{filename}:{error.lineno or 1}: {error.msg}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise StrategyFileError(f"{filename}:1: not Python source: {error}") from error


def _only_strategy_class(tree: ast.Module, filename: str) -> ast.ClassDef:
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    found = [node for node in classes if _is_strategy(node) and _defines_signal(node)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(f"{node.name} (line {node.lineno})" for node in found)
        raise StrategyFileError(
            f"{filename}: found {len(found)} Strategy classes, {names}; "
            "keep one and put the others into files of their own"
        )
    seen = ", ".join(f"{node.name} (line {node.lineno}: {_why_not(node)})" for node in classes)
    raise StrategyFileError(f"{filename}: found no Strategy class, but {seen or 'no class at all'}; {_EXAMPLE}")


def _is_strategy(node: ast.ClassDef) -> bool:
    names = (base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "") for base in node.bases)
    return "Strategy" in names


def _defines_signal(node: ast.ClassDef) -> bool:
    return any(isinstance(item, ast.FunctionDef) and item.name == "signal" for item in node.body)


def _why_not(node: ast.ClassDef) -> str:
    if not _is_strategy(node):
        return "Strategy is not among its bases"
    if any(isinstance(item, ast.AsyncFunctionDef) and item.name == "signal" for item in node.body):
        return "its signal is async, write def signal"
    return "it defines no signal"


def _class_value(node: ast.ClassDef, field: str) -> ast.expr | None:
    """Return what the class body last assigns to `field`, or None."""
    value = None
    for item in node.body:
        targets = (
            item.targets if isinstance(item, ast.Assign) else [item.target] if isinstance(item, ast.AnnAssign) else []
        )
        if any(isinstance(target, ast.Name) and target.id == field for target in targets):
            value = item.value if isinstance(item, ast.Assign | ast.AnnAssign) else None
    return value


def _literal(node: ast.expr) -> object:
    try:
        value: object = ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)
    return value


def _check_name(name: object, where: str) -> str:
    if not (isinstance(name, str) and NAME_PATTERN.fullmatch(name)):
        raise StrategyFileError(
            f"{where}: the name is {name!r}; a name is a letter, then up to 63 letters, digits, _ or -"
        )
    return name


def _check_lookback(lookback: object, where: str) -> int:
    if isinstance(lookback, bool) or not isinstance(lookback, int) or not 1 <= lookback <= LOOKBACK_MAX:
        raise StrategyFileError(
            f"{where}: lookback is {lookback!r}; it is a whole number of bars from 1 to {LOOKBACK_MAX}"
        )
    return lookback
