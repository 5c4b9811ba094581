"""How faults are asked for in words: `kill:agent-003@round=5; partition:hub,random@2s/1s`.

    plan    = fault { ";" fault }
    fault   = kind ":" target [ ("," | ">") target ] "@" when { "/" amount }
    when    = "round=" number | duration            since trading began
    amount  = duration ("1.5s", "200ms", "2min") | size ("200MB", "1GB") | share ("20%")

Pure. What is written back by `str` is read again as the same fault. Times are whole milliseconds.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from orchestrator.spec import SpecError

DURATION_MS_MAX = 3_600_000
SIZE_MB_MAX = 65_536
SHARE_DEFAULT = 10
DELAY_MS_DEFAULT = 50
UNITS_MS = {"ms": Decimal(1), "s": Decimal(1000), "min": Decimal(60_000)}
UNITS_MB = {"MB": Decimal(1), "GB": Decimal(1000)}


class ChaosError(SpecError):
    """Faults were asked for that cannot be; the message is one line for the user."""


class FaultKind(StrEnum):
    """What may be done, to an agent or (the last three) to the link between two."""

    KILL = "kill"
    STOP = "stop"
    VANISH = "vanish"
    CPU = "cpu"
    MEMORY = "memory"
    DROP = "drop"
    DELAY = "delay"
    PARTITION = "partition"


LINK_KINDS = frozenset({FaultKind.DROP, FaultKind.DELAY, FaultKind.PARTITION})
EXAMPLES = {
    FaultKind.KILL: "kill:agent-003@round=5",
    FaultKind.STOP: "stop:leader@2s/1.5s, or stop:leader@2s for good",
    FaultKind.VANISH: "vanish:random@2s",
    FaultKind.CPU: "cpu:random@3s/2s",
    FaultKind.MEMORY: "memory:agent-002@1s/200MB",
    FaultKind.DROP: "drop:agent-001,agent-002@2s/1s/20%",
    FaultKind.DELAY: "delay:agent-001,agent-002@2s/1s/100ms",
    FaultKind.PARTITION: "partition:agent-001,agent-002@2s/1s",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedFault:
    """One fault as it was asked for. `targets`: one, or two for a link; agents, roles or `random`.

    `is_one_way`: only what the first sends to the second suffers. Either `round` or `after_ms` says when. `lasts_ms`:
    None where it is for good. `amount`: megabytes of memory, percent of frames dropped, milliseconds of delay.
    """

    kind: FaultKind
    targets: tuple[str, ...]
    is_one_way: bool = False
    round: int | None = None
    after_ms: int | None = None
    lasts_ms: int | None = None
    amount: int | None = None

    def __str__(self) -> str:
        when = f"round={self.round}" if self.round is not None else _duration(self.after_ms or 0)
        lasts = [_duration(self.lasts_ms)] if self.lasts_ms is not None else []
        amounts: list[str] = {
            FaultKind.MEMORY: [f"{self.amount}MB", *lasts],
            FaultKind.DROP: [*lasts, f"{self.amount}%"],
            FaultKind.DELAY: [*lasts, _duration(self.amount or 0)],
        }.get(self.kind, lasts)
        return f"{self.kind}:{(',', '>')[self.is_one_way].join(self.targets)}@{'/'.join([when, *amounts])}"


def parse_faults(text: str) -> tuple[WantedFault, ...]:
    """Read a plan. Raises ChaosError."""
    parts = [part.strip() for part in text.split(";") if part.strip()]
    if not parts:
        raise ChaosError("the chaos plan is empty; try kill:random@round=5")
    return tuple(_parse_fault(part) for part in parts)


def format_faults(faults: tuple[WantedFault, ...]) -> str:
    """Write a plan, such that `parse_faults` reads the same."""
    return "; ".join(map(str, faults))


_FAULT = re.compile(r"(?P<kind>[^:@]*):(?P<targets>[^@]*)@(?P<when>[^/]*)(?P<amounts>(/[^/]*)*)")
_TARGET = re.compile(r"[a-z][a-z0-9-]*")
_NUMBER = re.compile(r"(?P<number>\d{1,9}(\.\d{1,6})?)(?P<unit>[a-zA-Z%]+)")


def _parse_fault(text: str) -> WantedFault:
    found = _FAULT.fullmatch(text)
    if found is None:
        raise ChaosError(f"fault {text!r} is not KIND:WHO@WHEN; for example {EXAMPLES[FaultKind.KILL]}")
    name = found["kind"].strip()
    if name not in set(FaultKind):
        raise ChaosError(f"fault {text!r}: there is no {name!r}; choose {', '.join(FaultKind)}")
    kind = FaultKind(name)
    is_one_way = ">" in found["targets"]
    targets = tuple(target.strip() for target in re.split("[,>]", found["targets"]))
    if not all(_TARGET.fullmatch(target) for target in targets) or len(targets) > 1 + (kind in LINK_KINDS):
        whom = "one or two agents or roles" if kind in LINK_KINDS else "one agent or role"
        raise ChaosError(f"fault {text!r}: {kind} takes {whom}; for example {EXAMPLES[kind]}")
    round, after_ms = _parse_when(found["when"].strip(), text)
    amounts = [part.strip() for part in found["amounts"].split("/")[1:]]
    lasts_ms, amount = _parse_amounts(kind, amounts, text=text)
    return WantedFault(
        kind=kind,
        targets=targets,
        is_one_way=is_one_way,
        round=round,
        after_ms=after_ms,
        lasts_ms=lasts_ms,
        amount=amount,
    )


def _parse_when(when: str, text: str) -> tuple[int | None, int | None]:
    if when.startswith("round="):
        number = when.removeprefix("round=")
        if not number.isascii() or not number.isdecimal() or not 0 < int(number) < 10**9:
            raise ChaosError(f"fault {text!r}: rounds are counted from 1, found {number!r}")
        return int(number), None
    after_ms = _quantity(when, UNITS_MS)
    if after_ms is None or not 0 <= after_ms <= DURATION_MS_MAX:
        raise ChaosError(f"fault {text!r}: when is {when!r}; give round=N, or a time up to 1 h like 2s or 500ms")
    return None, after_ms


def _parse_amounts(kind: FaultKind, amounts: list[str], *, text: str) -> tuple[int | None, int | None]:
    """Return how long a fault lasts and how bad it is."""
    wanted = ChaosError(f"fault {text!r}: amounts {'/'.join(amounts) or 'missing'!r}; for example {EXAMPLES[kind]}")
    first = _duration_ms(amounts[0], wanted) if amounts and kind is not FaultKind.MEMORY else None
    match kind, len(amounts):
        case ((FaultKind.KILL | FaultKind.VANISH | FaultKind.STOP), 0):
            return None, None
        case ((FaultKind.STOP | FaultKind.CPU | FaultKind.PARTITION), 1):
            return first, None
        case FaultKind.MEMORY, (1 | 2):
            size = _quantity(amounts[0], UNITS_MB)
            if size is None or not 0 < size <= SIZE_MB_MAX:
                raise wanted
            return (_duration_ms(amounts[1], wanted) if amounts[1:] else None), size
        case FaultKind.DROP, (1 | 2):
            share = _quantity(amounts[1], {"%": Decimal(1)}) if amounts[1:] else SHARE_DEFAULT
            if share is None or not 0 < share <= 100:
                raise wanted
            return first, share
        case FaultKind.DELAY, (1 | 2):
            return first, _duration_ms(amounts[1], wanted) if amounts[1:] else DELAY_MS_DEFAULT
    raise wanted


def _duration_ms(text: str, error: ChaosError) -> int:
    found = _quantity(text, UNITS_MS)
    if found is None or not 0 < found <= DURATION_MS_MAX:
        raise error
    return found


def _quantity(text: str, units: dict[str, Decimal]) -> int | None:
    """Read a number with its unit; None unless it is a whole number of the smallest unit."""
    found = _NUMBER.fullmatch(text)
    if found is None or found["unit"] not in units:
        return None
    value = Decimal(found["number"]) * units[found["unit"]]
    return int(value) if value == value.to_integral_value() else None


def _duration(ms: int) -> str:
    return f"{ms // 1000}s" if ms % 1000 == 0 else f"{ms}ms"
