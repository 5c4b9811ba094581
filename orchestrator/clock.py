"""The one place that reads the calendar. Durations come from the event loop."""

from datetime import UTC, datetime


def utc_now() -> str:
    """Return the present time as ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
