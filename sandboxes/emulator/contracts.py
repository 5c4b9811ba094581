"""What a call takes and answers, declared next to its route: the OpenAPI document is made of nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import GenericAlias, UnionType
from typing import TypeAlias

from msgspec import Struct

from sandboxes.emulator.parameters import Description, Parameter


@dataclass(frozen=True, slots=True, eq=False)
class Media:
    """A body that is no JSON."""

    kind: str
    """Its content type, `*/*` for any."""
    schema: Description


TEXT = Media("text/plain", {"type": "string"})
BYTES = Media("application/octet-stream", {"type": "string", "format": "binary"})
ANY_BYTES = Media("*/*", {"type": "string", "format": "binary"})

Body: TypeAlias = type | GenericAlias | UnionType | Media | None
"""A type that msgspec writes as JSON, other bytes, or nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """One call."""

    takes: type[Struct] | None = None
    """The type of the JSON in the request. No body is an empty object."""
    takes_media: tuple[Media, ...] = ()
    """The bytes in the request, of one of these kinds."""
    parameters: tuple[Parameter, ...] = ()
    answers: Mapping[int, Body]
    """What comes with each status that means it was done."""
    answer_headers: Mapping[str, str] = field(default_factory=dict)
    """Headers that may come with those answers, and what they say."""
    refuses: tuple[int, ...] = ()
    """The statuses of refusals, beside those that all calls of the plane have."""
