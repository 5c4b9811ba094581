"""Trading strategies: pure functions of the bars they are shown. No clock, no network, no state of their own.

A user's strategy file begins ``from strategies import FLAT, Bar, Signal, Strategy``. Every worker imports
this package, so it costs no more than msgspec does; `strategies.catalog` and `strategies.file` are imported
by name.
"""

from strategies.bar import Bar
from strategies.errors import SignalError, StrategyError, StrategyFileError, UnknownStrategyError
from strategies.strategy import FLAT, Signal, Strategy, run_strategy

__all__ = [
    "FLAT",
    "Bar",
    "Signal",
    "SignalError",
    "Strategy",
    "StrategyError",
    "StrategyFileError",
    "UnknownStrategyError",
    "run_strategy",
]
