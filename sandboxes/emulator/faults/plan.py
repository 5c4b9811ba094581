"""Faults on purpose: which ones there are, and which request is met by which.

    server.faults.add("create", Reset(after_work=True), times=1)
    server.faults.add("run", Latency(seconds=2), probability=0.1)

A rule names requests, a fault, and how often. Decisions come from the plan's seed and from how many requests a rule
has met before: equal seeds and equal orders of requests give equal faults. What a fault does is in
`fault_injection.py`, the names of requests are in `operations.py`, the same by HTTP is in `fault_calls.py`.
"""

import random
from collections import Counter
from fnmatch import fnmatchcase
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from sandboxes.emulator.errors import ApiError
from sandboxes.emulator.faults.operations import NAMES, Operation

RULES_MAX = 10_000
SKEW_MAX_S = 10 * 365 * 86_400
"""Ten years, so that what is shown stays within the calendar."""
Skew = Annotated[float, Meta(ge=-SKEW_MAX_S, le=SKEW_MAX_S)]
NotNegative = Annotated[float, Meta(ge=0)]


class FaultBase(Struct, tag_field="kind", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all faults have: a name on the wire."""


class Latency(FaultBase, tag="latency", frozen=True):
    """The answer takes longer."""

    seconds: NotNegative


class Refusal(FaultBase, tag="status", frozen=True):
    """Another answer, and nothing is done."""

    status: Annotated[int, Meta(ge=400, le=599)]
    message: str = "this is a fault on purpose"
    retry_after_s: Annotated[int, Meta(ge=0)] | None = None
    """The header `Retry-After`."""
    should_retry: bool | None = None
    """The header `Should-Retry`, which the SDK obeys."""
    body: str | None = None
    """The JSON of the answer, in place of E2B's with the message."""
    is_html: bool = False
    """A page of HTML instead of E2B's JSON, as something on the way would answer."""


class Reset(FaultBase, tag="reset", frozen=True):
    """The connection ends without an answer."""

    after_work: bool = False
    """End it when all is done, in place of the answer: the sandbox was created, the file written."""
    is_hard: bool = False
    """End it by a TCP reset, as when a machine is gone; the SDK raises other errors then than for a closed one."""


class NoAnswer(FaultBase, tag="no_answer", frozen=True):
    """Silence until the client gives up."""

    after_work: bool = False


class Vanish(FaultBase, tag="vanish", frozen=True):
    """The sandbox that the request is about is killed without a word; at `create`, the one that is made."""

    after_s: NotNegative = 0.0


class StreamCut(FaultBase, tag="stream_cut", frozen=True):
    """The answer breaks off: a stream after its first message, a file in its first half."""

    after_s: NotNegative = 0.0
    """How long after that."""
    is_hard: bool = False
    """By a TCP reset; see `Reset`."""
    is_gone: bool = False
    """From then on `/health` tells that the sandbox was not found, though it runs."""


class NoEndEvent(FaultBase, tag="no_end_event", frozen=True):
    """A command's stream ends in order, but without the event that tells how the command ended."""


class DiskFull(FaultBase, tag="disk_full", frozen=True):
    """An upload finds no room (507)."""


class ClockSkew(FaultBase, tag="clock_skew", frozen=True):
    """A created sandbox's times are wrong by this much; what runs in it sees this machine's clock all the same."""

    api_s: Skew = 0.0
    """Added to what the control plane tells: `startedAt` and `endAt`, and the times of metrics, logs and events."""
    envd_s: Skew = 0.0
    """The sandbox's own clock: added to the time of envd's `/metrics`, of files, and of the interpreter's output;
    by it an address that was signed for a while is over sooner or later."""


Fault = Latency | Refusal | Reset | NoAnswer | Vanish | StreamCut | NoEndEvent | DiskFull | ClockSkew
ONLY_AT: dict[type[FaultBase], frozenset[str]] = {
    StreamCut: frozenset({"run", "attach", "watch", "download", "interpreter", "proxy"}),
    NoEndEvent: frozenset({"run", "attach"}),
    DiskFull: frozenset({"upload"}),
    ClockSkew: frozenset({"create"}),
}
"""The requests that a fault makes sense at; its rules pass over others."""


class FaultWish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule as its author writes it."""

    fault: Fault
    where: str = "*"
    """A request's name, or a pattern of paths, such as `/sandboxes/*/timeout`."""
    probability: Annotated[float, Meta(ge=0, le=1)] = 1.0
    times: Annotated[int, Meta(ge=1)] | None = None
    """How often at most; `None` until the rule is taken away."""
    sandbox_id: str | None = None
    """Only requests about this sandbox."""


class FaultRule(Struct, kw_only=True):
    """A rule in force, and how often it struck."""

    id: int
    wish: FaultWish
    injected: int = 0

    def fits(self, operation: Operation) -> bool:
        """Whether a request is one that the rule is about."""
        wish = self.wish
        names = ONLY_AT.get(type(wish.fault))
        if (names is not None and names.isdisjoint(operation.names)) or self._is_spent():
            return False
        if wish.sandbox_id is not None and wish.sandbox_id != operation.sandbox_id:
            return False
        if wish.where.startswith("/"):
            return fnmatchcase(operation.path, wish.where)
        return wish.where in operation.names

    def _is_spent(self) -> bool:
        return self.wish.times is not None and self.injected >= self.wish.times


class FaultPlanShown(Struct):
    """The rules in force, and how often each kind struck."""

    seed: int
    rules: tuple[FaultRule, ...]
    injected: dict[str, int]


class FaultPlan:
    """The rules in force. They may be changed from any thread; requests are judged in the server's."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.rules: tuple[FaultRule, ...] = ()
        self.injected: Counter[str] = Counter()
        """How often each kind struck, such as `reset`, also by rules that are gone."""
        self._made = 0
        self._chances: dict[int, random.Random] = {}

    def add(
        self,
        where: str,
        fault: Fault,
        *,
        probability: float = 1.0,
        times: int | None = None,
        sandbox_id: str | None = None,
    ) -> FaultRule:
        """Put a rule in force, behind those that are. Raises `ApiError` (400) for one that could never strike."""
        return self.put(
            FaultWish(where=where, fault=fault, probability=probability, times=times, sandbox_id=sandbox_id)
        )

    def put(self, wish: FaultWish) -> FaultRule:
        """Put a rule in force. Raises `ApiError` (400)."""
        check(wish)
        if len(self.rules) >= RULES_MAX:
            raise ApiError(400, f"there are {RULES_MAX} faults already: clear them first")
        self._made += 1
        rule = FaultRule(id=self._made, wish=wish)
        self._chances[rule.id] = random.Random(f"{self.seed}/{rule.id}")
        self.rules = (*self.rules, rule)
        return rule

    def remove(self, rule_id: int) -> bool:
        """Take one rule away, and return whether it was there."""
        left = tuple(rule for rule in self.rules if rule.id != rule_id)
        is_known = len(left) < len(self.rules)
        self.rules = left
        self._chances.pop(rule_id, None)
        return is_known

    def clear(self) -> None:
        """Take all rules away and begin to count, and to throw the dice, anew."""
        self.rules = ()
        self.injected = Counter()
        self._made = 0
        self._chances = {}

    def choose(self, operation: Operation) -> list[Fault]:
        """Return what meets a request, in the order of the rules; nothing follows a fault that answers it."""
        chosen: list[Fault] = []
        for rule in self.rules:
            if not rule.fits(operation) or not self._strikes(rule):
                continue
            rule.injected += 1
            self.injected[kind_of(rule.wish.fault)] += 1
            chosen.append(rule.wish.fault)
            if is_final(rule.wish.fault):
                break
        return chosen

    def _strikes(self, rule: FaultRule) -> bool:
        chance = self._chances.get(rule.id)  # None if another thread took the rule away just now
        return chance is not None and chance.random() < rule.wish.probability


def kind_of(fault: Fault) -> str:
    """Return a fault's name on the wire."""
    return str(type(fault).__struct_config__.tag)


def is_final(fault: Fault) -> bool:
    """Whether a fault takes the place of the work."""
    match fault:
        case Refusal() | DiskFull():
            return True
        case Reset(after_work=after_work) | NoAnswer(after_work=after_work):
            return not after_work
        case _:
            return False


def check(wish: FaultWish) -> None:
    """Raise `ApiError` (400) for a rule that names nothing or has impossible figures."""
    if not wish.where.startswith("/") and wish.where not in NAMES:
        raise ApiError(400, f"where is {wish.where!r}: use a path such as /sandboxes/*, or one of {', '.join(NAMES)}")
    try:
        msgspec.convert(msgspec.to_builtins(wish), FaultWish)
    except msgspec.ValidationError as error:
        raise ApiError(400, f"the fault cannot be: {error}") from error


def describe(plan: FaultPlan) -> FaultPlanShown:
    """Return a plan as it is shown."""
    return FaultPlanShown(plan.seed, plan.rules, dict(plan.injected))
