"""What a user asks for, checked before anything starts.

A spec comes from flags, from a TOML file of the same fields, or from both: a flag wins. Every fault found is one line
that says what was found and what to do.
"""

import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from topologies.charter import VotingRule
from topologies.kinds import DistributionStrategy, TopologyKind

AGENTS_MIN = 2
AGENTS_MAX = 200


class Mode(StrEnum):
    """Where workers run; see `orchestrator.modes`."""

    MOCK = "mock"
    LOCAL = "local"
    LIVE = "live"


class SpecError(ValueError):
    """The user's request cannot be carried out as it stands."""


Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]


class SwarmSpec(BaseModel):
    """One swarm. Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    topology: TopologyKind
    """How agents are wired."""

    name: Name | None = None
    """What the swarm is called: lower-case letters, digits and dashes. By default the topology and a random suffix."""

    agents: Annotated[int, Field(ge=AGENTS_MIN, le=AGENTS_MAX)] = 5
    """How many workers, each in a sandbox of its own."""

    strategy: Annotated[tuple[str, ...], Field(min_length=1)] = ("momentum",)
    """Names of built-in strategies, or paths of files with one Strategy class; dealt out among the agents."""

    symbols: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """What is traded. By default what the data's documentation says."""

    ticks: Annotated[int, Field(ge=1)] | None = None
    """How many market ticks to replay: the last ones there are. By default a trading year, or what there is."""

    data: Path | None = None
    """A CSV or Parquet file of the user's own prices, instead of the bundled ones."""

    mode: Mode = Mode.LOCAL
    """mock: in this process, in virtual time. local: real processes. live: E2B."""

    seed: int = 0
    """Feeds every random choice: equal seeds give equal decisions, in mock mode equal journals."""

    distribution: DistributionStrategy | None = None
    """Hierarchy and star: how tasks are shared out. By default round-robin in the one, least-loaded in the other."""

    voting: VotingRule = VotingRule.WEIGHTED
    """What a direction needs to win: more weight than any other, or the heads of so many of those who were asked."""

    risk_strategy: tuple[str, ...] = ()
    """Strategies, among those that run, that choose no position but may forbid one: by wanting flat, by failing or by
    not answering."""

    pace: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Seconds from one tick to the next; 0 means the next tick follows at once."""

    round_deadline: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 10.0
    """Seconds after which a round without all its decisions counts as failed."""

    chaos: str | None = None
    """What is to go wrong on purpose: faults in words, a TOML file, or in mock mode rates. See docs/CHAOS.md."""

    account_sandboxes_max: Annotated[int, Field(ge=1)] = 20
    """Live mode: sandboxes the account may run at a time. The default is that of the smallest account."""

    account_creates_per_s: Annotated[float, Field(gt=0)] = 1.0
    """Live mode: sandboxes the account may create in a second. The default is that of the smallest account."""

    @field_validator("strategy", "symbols", "risk_strategy", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """Take `"A,B"` for `["A", "B"]`."""
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())


def read_spec_file(path: Path) -> Mapping[str, object]:
    """Read the fields a TOML file sets. Raises SpecError."""
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise SpecError(f"spec file {path} does not exist; give the path of a TOML file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"spec file {path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"spec file {path} is not TOML: {error}") from error


def make_spec(file: Mapping[str, object], flags: Mapping[str, object]) -> SwarmSpec:
    """Join a file's fields with the flags that were given, and check them. Raises SpecError with one line."""
    given = {key: value for key, value in flags.items() if value is not None}
    try:
        return SwarmSpec.model_validate({**file, **given})
    except ValidationError as error:
        raise SpecError(_explain(error)) from error


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    field = str(first["loc"][0]) if first["loc"] else "spec"
    found = first.get("input")
    match first["type"]:
        case "extra_forbidden":
            return f"unknown key {field!r} in the spec; known keys: {', '.join(SwarmSpec.model_fields)}"
        case "missing":
            return f"no {field} was given; give --{field} or set it in the spec file" + _choices(field)
        case "enum":
            return f"unknown {field} {found!r}" + _choices(field)
        case _:
            more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
            return f"{field} is {found!r}: {_limits(field) or first['msg'].lower()}{more}"


def _choices(field: str) -> str:
    options: dict[str, type[StrEnum]] = {
        "topology": TopologyKind,
        "mode": Mode,
        "distribution": DistributionStrategy,
        "voting": VotingRule,
    }
    return f"; choose {', '.join(options[field])}" if field in options else ""


def _limits(field: str) -> str:
    return {
        "agents": f"a swarm has a whole number of agents from {AGENTS_MIN} to {AGENTS_MAX}",
        "strategy": "a swarm has at least one strategy",
        "symbols": "a swarm trades at least one symbol",
        "ticks": "a replay has at least 1 tick",
        "pace": "the pace is 0 or more seconds per tick",
        "seed": "the seed is a whole number",
        "round_deadline": "the deadline is more than 0 seconds",
        "chaos": "chaos is a text like kill:random@round=5, or the path of a file",
        "name": "a name has 1 to 40 lower-case letters, digits and dashes",
    }.get(field, "")
