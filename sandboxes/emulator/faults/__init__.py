"""Faults on purpose: rules, the plan that draws from them, and where they strike."""

from sandboxes.emulator.faults.plan import (
    ClockSkew,
    DiskFull,
    FaultPlan,
    Latency,
    NoAnswer,
    NoEndEvent,
    Refusal,
    Reset,
    StreamCut,
    Vanish,
)

__all__ = [
    "ClockSkew",
    "DiskFull",
    "FaultPlan",
    "Latency",
    "NoAnswer",
    "NoEndEvent",
    "Refusal",
    "Reset",
    "StreamCut",
    "Vanish",
]
