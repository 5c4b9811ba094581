"""Which sandboxes a list shows: filters, order and pages, as pure functions of the query."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl, unquote

from multidict import MultiMapping

from sandboxes.emulator.fleet.sandbox import Sandbox, SandboxState
from sandboxes.emulator.parameters import (
    ChoiceParameter,
    ListParameter,
    MomentParameter,
    NumberParameter,
    Parameter,
    TextParameter,
)

PAGE_SIZE_MAX = 100
SEQUENCE_MAX = 2**53

METADATA = TextParameter(
    name="metadata",
    meaning="Only sandboxes with all these pairs: each name and value quoted, the pairs encoded as a query string.",
)
STATE = ListParameter(name="state", meaning="Only sandboxes in these states.", choices=tuple(SandboxState))
TEMPLATE = TextParameter(name="template", meaning="Only sandboxes of this template, by its id or name.")
STARTED_AFTER = MomentParameter(name="startedAfter", meaning="Only sandboxes that were started after this moment.")
ORDER = ChoiceParameter(
    name="order", meaning="By start, the last first or the first first.", choices=("asc", "desc"), default="desc"
)
LIMIT = NumberParameter(
    name="limit", meaning="How many rows at most.", bounds=(1, PAGE_SIZE_MAX), default=PAGE_SIZE_MAX
)
NEXT_TOKEN = NumberParameter(
    name="nextToken", meaning="The X-Next-Token that came with the page before.", bounds=(0, SEQUENCE_MAX)
)
LIST_PARAMETERS: tuple[Parameter, ...] = (METADATA, STATE, TEMPLATE, STARTED_AFTER, ORDER, LIMIT, NEXT_TOKEN)


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


def parse_query(query: MultiMapping[str], *, states: frozenset[str] = frozenset(SandboxState)) -> ListQuery:
    """Read the query string; without a state it shows `states`. Raises `ApiError` (400) naming what is wrong."""
    return ListQuery(
        metadata=parse_metadata(METADATA.find(query) or ""),
        states=frozenset(STATE.read(query)) or states,
        template=TEMPLATE.find(query),
        started_after=STARTED_AFTER.find(query),
        is_ascending=ORDER.read(query) == "asc",
        limit=LIMIT.read(query),
        after_sequence=NEXT_TOKEN.find(query),
    )


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
