"""Reading a page's limits from a query string, the same for all lists of the control plane."""

from collections.abc import Mapping

from sandboxes.emulator.errors import ApiError


def read_number(query: Mapping[str, str], name: str, *, default: int, bounds: tuple[int, int]) -> int:
    """Return a whole number from a query. Raises `ApiError` (400) for anything else, or one out of bounds."""
    text = query.get(name)
    if text is None:
        return default
    lowest, highest = bounds
    if not text.removeprefix("-").isdecimal() or not text.isascii():
        raise ApiError(400, f"{name} is {text!r}: it must be a whole number")
    if not lowest <= int(text) <= highest:
        raise ApiError(400, f"{name} is {text}: it must lie between {lowest} and {highest}")
    return int(text)
