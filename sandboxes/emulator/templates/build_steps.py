"""The instructions of a build: what each kind asks for, and what is wrong with those that ask for nothing possible.

Reading them is separate from carrying them out (`template_builder.py`), so that a malformed one is refused before the
build starts, and so that the key by which a finished step is found again depends on nothing but the instructions.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import msgspec

from sandboxes.emulator.errors import ApiError
from sandboxes.emulator.fleet.paths import HOME, HOMES, USER_DEFAULT
from sandboxes.emulator.processes.process_environment import COMMAND_PATH
from sandboxes.emulator.templates.template_messages import StepMessage

STEPS_MAX = 1_000
HASH_PATTERN = re.compile(r"[0-9a-f]{64}")
OWNER_PATTERN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?")
MODE_PATTERN = re.compile(r"[0-7]{3,4}")
VARIABLE_PATTERN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
REFERENCE_PATTERN = re.compile(r"\\?\$(?:\{(\w+)\}|(\w+))")


@dataclass(frozen=True, slots=True)
class Copy:
    """Put files of an uploaded archive into the tree."""

    source: str
    target: str
    owner: str
    mode: int | None
    files_hash: str


@dataclass(frozen=True, slots=True)
class Run:
    """Run a command line."""

    command: str
    user: str


@dataclass(frozen=True, slots=True)
class Env:
    """Set variables for the steps that follow, and for the template's sandboxes."""

    variables: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Workdir:
    """Change the directory that relative paths begin from, and make it."""

    path: str


@dataclass(frozen=True, slots=True)
class User:
    """Change the user that commands run as."""

    name: str


Action: TypeAlias = Copy | Run | Env | Workdir | User


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One instruction."""

    number: int
    """From 1, as clients count; their 0 is the image."""
    action: Action
    is_forced: bool
    text: str
    """As the log shows it."""

    @property
    def changes_files(self) -> bool:
        """Whether the tree is another one afterwards, so that it is worth keeping."""
        return isinstance(self.action, Copy | Run)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildContext:
    """What a step leaves to the next besides files."""

    envs: Mapping[str, str] = field(default_factory=dict)
    workdir: str | None = None
    """`None` as long as nothing was said: the home of whoever works."""
    user: str = USER_DEFAULT

    @property
    def home(self) -> str:
        """Where `~` leads."""
        return HOMES.get(self.user, HOME)

    @property
    def directory(self) -> str:
        """Where commands start and relative paths begin."""
        return self.workdir or self.home

    def after(self, action: Action) -> "BuildContext":
        """Return the context after a step."""
        match action:
            case Env(variables=variables):
                return replace(self, envs=expand_variables(self.envs, variables))
            case Workdir(path=path):
                return replace(self, workdir=self.absolute(path))
            case User(name=name):
                return replace(self, user=name)
            case _:
                return self

    def absolute(self, path: str) -> str:
        """Return a path of the template in full."""
        if path == "~" or path.startswith("~/"):
            path = self.home + path[1:]
        return path if path.startswith("/") else f"{self.directory.rstrip('/')}/{path}"


def read_steps(messages: Sequence[StepMessage]) -> list[Step]:
    """Return the steps of a build. Raises `ApiError` (400) naming the one that is malformed."""
    if len(messages) > STEPS_MAX:
        raise ApiError(400, f"the build has {len(messages)} steps: {STEPS_MAX} at most")
    return [read_step(message, number) for number, message in enumerate(messages, 1)]


def read_step(message: StepMessage, number: int) -> Step:
    """Return one step. Raises `ApiError` (400)."""
    readers: dict[str, Callable[[StepMessage], Action]] = {
        "COPY": read_copy,
        "RUN": read_run,
        "ENV": read_env,
        "WORKDIR": read_workdir,
        "USER": read_user,
    }
    reader = readers.get(message.type.upper())
    if reader is None:
        raise ApiError(400, f"step {number} is {message.type!r}: there are {', '.join(readers)}")
    if any("\0" in argument for argument in message.args):
        raise ApiError(400, f"step {number} ({message.type}) holds a null byte: remove it")
    try:
        action = reader(message)
    except ValueError as error:
        raise ApiError(400, f"step {number} ({message.type}) is malformed: {error}") from error
    shown = message.args[:2] if isinstance(action, Copy) else message.args[:1]
    if isinstance(action, Env):
        shown = [f"{name}={value}" for name, value in action.variables]
    text = f"{message.type.upper()} {' '.join(shown)}"
    return Step(number=number, action=action, is_forced=bool(message.force), text=text)


def read_copy(message: StepMessage) -> Copy:
    """Read the arguments of COPY: source, target, owner and mode, of which the last two may be empty or missing."""
    if not 2 <= len(message.args) <= 4 or not message.args[0] or not message.args[1]:
        raise ValueError("it takes a source and a target, and maybe an owner and a mode")
    if not HASH_PATTERN.fullmatch(message.files_hash or ""):
        raise ValueError("its filesHash is not a SHA-256 in lower-case hex")
    source, target, owner, mode = [*message.args, "", ""][:4]
    if owner and not OWNER_PATTERN.fullmatch(owner):
        raise ValueError(f"owner {owner!r} is not user or user:group")
    if mode and not MODE_PATTERN.fullmatch(mode):
        raise ValueError(f"mode {mode!r} is not octal, such as 0755")
    return Copy(source, target, owner, int(mode, 8) if mode else None, message.files_hash or "")


def read_run(message: StepMessage) -> Run:
    """Read the arguments of RUN: a command line, and maybe a user."""
    if not 1 <= len(message.args) <= 2 or not message.args[0].strip():
        raise ValueError("it takes a command, and maybe a user")
    return Run(message.args[0], message.args[1] if len(message.args) == 2 else "")


def read_env(message: StepMessage) -> Env:
    """Read the arguments of ENV: names and values in turn."""
    if not message.args or len(message.args) % 2:
        raise ValueError("it takes names and values in turn")
    pairs = tuple(zip(message.args[::2], message.args[1::2], strict=True))
    for name, _value in pairs:
        if not VARIABLE_PATTERN.fullmatch(name):
            raise ValueError(f"{name!r} is not a variable's name")
    return Env(pairs)


def read_workdir(message: StepMessage) -> Workdir:
    """Read the argument of WORKDIR."""
    if len(message.args) != 1 or not message.args[0]:
        raise ValueError("it takes a path")
    return Workdir(message.args[0])


def read_user(message: StepMessage) -> User:
    """Read the argument of USER."""
    if len(message.args) != 1 or not OWNER_PATTERN.fullmatch(message.args[0]):
        raise ValueError("it takes the name of a user")
    return User(message.args[0])


def expand_variables(envs: Mapping[str, str], variables: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return the variables with further ones, in whose values `$NAME` and `${NAME}` are replaced."""
    known = dict(envs)
    for name, value in variables:

        def look_up(match: re.Match[str], known: Mapping[str, str] = known) -> str:
            if match.group().startswith("\\"):
                return match.group()[1:]
            return {"PATH": COMMAND_PATH, "HOME": HOME, **known}.get(match.group(1) or match.group(2), "")

        known[name] = REFERENCE_PATTERN.sub(look_up, value)
    return known


def chain_keys(base: str, steps: Sequence[Step]) -> Iterator[str]:
    """Yield for each step a key that is the same only if everything up to it is the same."""
    key = hashlib.sha256(base.encode()).hexdigest()
    for step in steps:
        kind = type(step.action).__name__
        content = msgspec.json.encode([key, kind, msgspec.to_builtins(step.action)], order="sorted")
        key = hashlib.sha256(content).hexdigest()
        yield key
