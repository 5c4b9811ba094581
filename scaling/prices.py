"""Prices with the day from which they hold, so that what was spent stays what it was when a price changes.

A table is a setting: E2B's as published is built in; a contract's own is given as rows of the same three values.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from scaling.cost import E2B_PRICE, SandboxPrice


@dataclass(frozen=True, slots=True, kw_only=True)
class DatedPrice:
    """A price and the moment from which it holds."""

    since: datetime
    price: SandboxPrice


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Prices in the order of their moments. The first also holds for all time before it."""

    rows: Sequence[DatedPrice]

    def __post_init__(self) -> None:
        moments = [row.since for row in self.rows]
        if not moments or any(early >= late for early, late in pairwise(moments)):
            raise ValueError("a price table has at least one row, and each row a later moment than the one before")

    def price_at(self, moment: datetime) -> SandboxPrice:
        return next((row.price for row in reversed(self.rows) if row.since <= moment), self.rows[0].price)

    def periods(self, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime, SandboxPrice]]:
        """Cut a stretch of time where the price changes."""
        cuts = [start, *(row.since for row in self.rows if start < row.since < end), end]
        for early, late in pairwise(cuts):
            yield early, late, self.price_at(early)


E2B_PRICES = PriceTable((DatedPrice(since=datetime(2026, 11, 1, tzinfo=UTC), price=E2B_PRICE),))
"""E2B's usage prices as read in November 2026 (https://e2b.dev/pricing)."""
