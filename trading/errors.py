"""What can go wrong on the trading side.

The tree::

    TradingError ├── MarketDataError             no such data, or data that may not be traded on; the message
    says what to do │   ├── UnknownSymbolError      nobody has prices of this symbol │   └──
    MissingPackageError     the package that has them is not installed └── PaperAccountError           the
    paper account was handed numbers it cannot book
"""


class TradingError(Exception):
    """The root of this package's errors."""


class MarketDataError(TradingError):
    """Market data is missing or wrong."""


class UnknownSymbolError(MarketDataError):
    """Nobody has prices of this symbol."""


class MissingPackageError(MarketDataError):
    """The package that carries these prices is not installed."""


class PaperAccountError(TradingError):
    """The paper account was handed numbers it cannot book."""
