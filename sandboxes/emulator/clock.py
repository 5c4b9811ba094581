"""The only place that reads the calendar. Durations and deadlines come from the event loop's clock."""

from datetime import UTC, datetime


def read_clock() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)


def parse_timestamp(text: str) -> datetime:
    """Read an RFC 3339 timestamp. A `+` that a query string turned into a space is put back."""
    moment = datetime.fromisoformat(text.replace(" ", "+"))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def from_seconds(seconds: float) -> datetime:
    """Return the moment that lies this many seconds after 1970 (a file's modification time)."""
    return datetime.fromtimestamp(seconds, UTC)
