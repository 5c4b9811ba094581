"""A bar: what a market did in one session. Shared by the tape, the wire and every strategy."""

import msgspec


class Bar(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Open, high, low, close and volume of one symbol in one session. Encoded as an array of six.

    Bars are checked where they enter (`trading.market_data`, `trading.user_data`): prices are finite and
    positive and ``low <= open, close <= high``. A strategy may rely on it.
    """

    time: str
    """ISO 8601 date (a daily bar) or datetime; sorts as text in the order of time."""
    open: float
    """First price of the session, in the currency or index points of its series."""
    high: float
    """Highest price of the session."""
    low: float
    """Lowest price of the session."""
    close: float
    """Last price of the session; what the built-in strategies look at."""
    volume: float
    """Units traded in the session; 0 where the source has none."""
