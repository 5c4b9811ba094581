"""What a strategy is: bars in, a signal out, nothing else.

Workers run strategies inside sandboxes, so this module imports nothing but msgspec. A strategy keeps no state
between calls: an agent that dies is replaced by one that has only seen the last bars, and both must say the
same.
"""

import abc
import re
from collections.abc import Sequence
from typing import ClassVar

import msgspec

from strategies.bar import Bar
from strategies.errors import USER_CODE_ERRORS, SignalError, StrategyError, describe_raised

LOOKBACK_MAX = 10_000
"""Most bars a strategy may ask for: 40 years of sessions, and what a worker keeps for each symbol."""


def _checked(field: str, value: object, *, low: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SignalError(
            f"a signal's {field} must be a float, got {type(value).__name__} {_shorten(value)}; convert it with float()"
        )
    if not low <= value <= 1.0:  # also refuses nan
        raise SignalError(f"a signal's {field} must be from {low:g} to 1, got {value!r}; clip it before returning")
    return float(value) + 0.0  # 0.0 instead of -0.0, which would read as a short position


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


class Signal(msgspec.Struct, frozen=True, array_like=True):
    """What a strategy wants to hold of one symbol, and how sure it is. Encoded as an array of two.

    Raises SignalError when made with anything but finite numbers in range.
    """

    target: float
    """Wanted position as a share of the capital given to this symbol: 1 is all of it long, -1 all short."""
    confidence: float
    """0 to 1: the weight of this signal among those of other agents. 0 abstains."""

    def __post_init__(self) -> None:
        # Set again, because a numpy float is a float but nothing the encoder knows.
        msgspec.structs.force_setattr(self, "target", _checked("target", self.target, low=-1.0))
        msgspec.structs.force_setattr(self, "confidence", _checked("confidence", self.confidence, low=0.0))


FLAT = Signal(0.0, 0.0)
"""No position and no opinion: what a strategy says while it has too few bars."""


class Strategy(abc.ABC):
    """A pure function of the last bars of one symbol, with a name. Made without arguments.

    The same bars must give the same signal in every process: no clock, no randomness, no files, no memory.
    """

    name: ClassVar[str]
    """How people and messages call it; the class name in snake_case unless the class sets one."""
    lookback: ClassVar[int]
    """Bars it wants to see, 1 to 10,000. Every class sets its own."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "name" not in cls.__dict__:
            cls.name = snake_case(cls.__name__)

    @abc.abstractmethod
    def signal(self, bars: Sequence[Bar]) -> Signal:
        """Return the wanted position after the last of `bars`.

        `bars` holds the last `lookback` bars of one symbol, oldest first; fewer, but at least one, at the
        start of a series. With too few bars a strategy usually returns FLAT.
        """


def run_strategy(strategy: Strategy, bars: Sequence[Bar]) -> Signal:
    """Show `strategy` the last `lookback` of `bars` (oldest first) and check what it returns.

    Raises StrategyError naming the class when it raises, or returns anything but a Signal.
    """
    who = type(strategy).__name__
    window = bars[-strategy.lookback :]
    try:
        signal: object = strategy.signal(window)
    except USER_CODE_ERRORS as error:
        raise StrategyError(f"{who}.signal raised {describe_raised(error)} on {len(window)} bars") from error
    if not isinstance(signal, Signal):
        raise StrategyError(
            f"{who}.signal must return a Signal, returned {type(signal).__name__} {_shorten(signal)}; "
            "write: return Signal(target, confidence), or return FLAT"
        )
    return signal


def snake_case(class_name: str) -> str:
    """Turn ``MeanReversion`` into ``mean_reversion`` and ``RSIBands`` into ``rsi_bands``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", class_name).lower()
