"""Prices of one symbol and where they come from: what the readers return and tapes are cut from."""

import dataclasses

from strategies import Bar


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """All bars of one symbol, oldest first, with distinct times."""

    symbol: str
    """As the source spells it."""
    bars: tuple[Bar, ...]
    """At least one."""
    source: str
    """Who supplied the prices: a package with its version, or a file name."""
    licence: str
    """What may be done with them, in a few words."""
    is_daily: bool = False
    """Whether each bar is known to be one trading day."""
