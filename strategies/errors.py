"""What can go wrong with a strategy, most of it in code that a user wrote.

The tree::

    StrategyError                 the strategy misbehaved; the message names it and says what to change
    ├── SignalError               a Signal was made with numbers it may not have (also a ValueError)
    ├── StrategyFileError         a user's .py file cannot be read, parsed or loaded
    └── UnknownStrategyError      no built-in strategy has this name
"""

from types import TracebackType

# What code of others raises when it is wrong. Cancellation, KeyboardInterrupt and classes that derive
# directly from Exception are left to the supervisor of the task.
USER_CODE_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    MemoryError,
    RuntimeError,
    StopIteration,
    SyntaxError,
    TypeError,
    ValueError,
)


class StrategyError(Exception):
    """A strategy misbehaved."""


class SignalError(StrategyError, ValueError):
    """A signal has a number that is not finite or out of its range."""


class StrategyFileError(StrategyError):
    """A user's strategy file cannot be used."""


class UnknownStrategyError(StrategyError):
    """No built-in strategy has this name."""


def describe_raised(error: BaseException) -> str:
    """Say what code of others raised and where: ``ZeroDivisionError: division by zero (mine.py:12)``."""
    reason = " ".join(str(error).split())
    text = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
    traceback: TracebackType | None = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None:
        return text
    return f"{text} ({traceback.tb_frame.f_code.co_filename}:{traceback.tb_lineno})"
