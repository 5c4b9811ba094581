"""From what the user wrote after `--strategy` to what workers are given: built-in names, or files to upload.

A user's file is parsed here and never run: it runs in the sandboxes only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from strategies import StrategyError, UnknownStrategyError
from strategies.catalog import BUILT_IN
from strategies.file import inspect_source, read_source
from workers.codec import StrategyRef


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenStrategy:
    """A strategy of a swarm. `content` is the file to upload, empty for a built-in one; `lookback` in bars."""

    reference: StrategyRef
    lookback: int | None
    content: bytes = b""


def choose(wanted: Sequence[str]) -> tuple[ChosenStrategy, ...]:
    """Resolve names and paths. Raises StrategyError when one is unknown, unusable, or named twice."""
    chosen = tuple(_choose(name) for name in wanted)
    names = [strategy.reference.name for strategy in chosen]
    for name in sorted(set(names)):
        if names.count(name) > 1:
            raise StrategyError(f"strategy {name!r} was asked for {names.count(name)} times; name each strategy once")
    return chosen


def _choose(wanted: str) -> ChosenStrategy:
    if wanted in BUILT_IN:
        return ChosenStrategy(reference=StrategyRef(wanted), lookback=BUILT_IN[wanted].lookback)
    if not wanted.endswith(".py") and "/" not in wanted:
        raise UnknownStrategyError(
            f"unknown strategy {wanted!r}; choose {', '.join(BUILT_IN)}, "
            "or the path of a .py file with one Strategy class"
        )
    source = read_source(Path(wanted))
    found = inspect_source(source, wanted)
    return ChosenStrategy(
        reference=StrategyRef(found.name, path=f"swarm/strategy_{found.sha256[:12]}.py", sha256=found.sha256),
        lookback=found.lookback,
        content=source.encode(),
    )
