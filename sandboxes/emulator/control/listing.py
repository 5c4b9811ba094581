"""Which sandboxes a list shows: filters, order and pages, as pure functions of the query."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl, unquote

from sandboxes.emulator.clock import parse_timestamp
from sandboxes.emulator.errors import ApiError
from sandboxes.emulator.fleet.sandbox import Sandbox, SandboxState

PAGE_SIZE_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ListQuery:
    """What a client wants to see."""

    metadata: Mapping[str, str]
    states: frozenset[str]
    template: str | None
    started_after: datetime | None
    is_ascending: bool
    limit: int
    after_sequence: int | None
    """The last sandbox of the page before, `None` for the first page."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page, and where the next one begins."""

    sandboxes: list[Sandbox]
    next_token: str | None


def parse_query(query: Mapping[str, str], *, states: frozenset[str] = frozenset(SandboxState)) -> ListQuery:
    """Read the query string; without a state it shows `states`. Raises `ApiError` (400) naming what is wrong."""
    try:
        started_after = parse_timestamp(query["startedAfter"]) if "startedAfter" in query else None
        limit = int(query.get("limit", PAGE_SIZE_MAX))
        after = int(query["nextToken"]) if "nextToken" in query else None
    except ValueError as error:
        raise ApiError(400, f"startedAfter, limit or nextToken is malformed: {error}") from error
    if not 1 <= limit <= PAGE_SIZE_MAX:
        raise ApiError(400, f"limit is {limit}: it must lie between 1 and {PAGE_SIZE_MAX}")
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise ApiError(400, f"order is {order!r}: it must be asc or desc")
    return ListQuery(
        metadata=parse_metadata(query.get("metadata", "")),
        states=parse_states(query["state"]) if "state" in query else states,
        template=query.get("template"),
        started_after=started_after,
        is_ascending=order == "asc",
        limit=limit,
        after_sequence=after,
    )


def parse_states(text: str) -> frozenset[str]:
    """Read the states to show. Raises `ApiError` (400) for one that does not exist."""
    states = frozenset(text.split(","))
    unknown = sorted(states - set(SandboxState))
    if unknown:
        raise ApiError(400, f"state is {unknown[0]!r}: it must be running or paused")
    return states


def parse_metadata(text: str) -> dict[str, str]:
    """Undo the two encodings that are left: the SDK quotes each name and value, then encodes the pairs as a query."""
    return {unquote(name): unquote(value) for name, value in parse_qsl(text, keep_blank_values=True)}


def select_page(sandboxes: Iterable[Sandbox], query: ListQuery) -> Page:
    """Return the page that the query asks for."""
    matching = [s for s in sandboxes if matches(s, query)]
    matching.sort(key=lambda s: s.sequence, reverse=not query.is_ascending)
    if query.after_sequence is not None:
        after = query.after_sequence
        matching = [s for s in matching if (s.sequence > after if query.is_ascending else s.sequence < after)]
    page = matching[: query.limit]
    return Page(page, str(page[-1].sequence) if len(matching) > len(page) else None)


def matches(sandbox: Sandbox, query: ListQuery) -> bool:
    """Whether a sandbox passes all filters."""
    metadata = sandbox.spec.metadata
    return (
        sandbox.state in query.states
        and all(metadata.get(name) == value for name, value in query.metadata.items())
        and (query.template is None or query.template in (sandbox.spec.template.id, sandbox.spec.template.name))
        and (query.started_after is None or sandbox.started_at > query.started_after)
    )
