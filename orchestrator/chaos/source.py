"""Where a chaos plan comes from: the words themselves, a TOML file with them, or how often things go wrong by chance.

A file with `faults = ["kill:hub@2s", ...]` is a plan; one with the fields of `FaultPlan` gives rates, like a preset.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from orchestrator.chaos.grammar import ChaosError, WantedFault, parse_faults
from orchestrator.simulation.faults import PRESETS, FaultPlan


class _PlanFile(msgspec.Struct, forbid_unknown_fields=True):
    faults: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chaos:
    """What is to go wrong: faults that were asked for one by one, and rates of those that come by chance."""

    faults: tuple[WantedFault, ...] = ()
    chance: FaultPlan | None = None


def read_chaos(text: str) -> Chaos:
    """Read a plan from what a user gave. Raises ChaosError."""
    if text in PRESETS:
        return Chaos(chance=PRESETS[text])
    if not text.strip() or ":" in text:
        return Chaos(faults=parse_faults(text))
    return _read_file(Path(text))


def _read_file(path: Path) -> Chaos:
    try:
        fields = tomllib.loads(path.read_text())
        if "faults" in fields:
            return Chaos(faults=parse_faults("; ".join(msgspec.convert(fields, _PlanFile).faults)))
        return Chaos(chance=msgspec.convert(fields, FaultPlan))
    except FileNotFoundError:
        presets = ", ".join(PRESETS)
        raise ChaosError(f"chaos {str(path)!r} is no file, none of {presets}, and no KIND:WHO@WHEN") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ChaosError(f"chaos file {path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ChaosError(f"chaos file {path} is not TOML: {error}") from error
    except (msgspec.ValidationError, ValueError) as error:
        raise ChaosError(f"chaos file {path}: {error}") from error
