"""The rules of a round in each topology, as state machines: messages and timers in, actions out."""

from collections.abc import Callable
from typing import assert_never

from topologies.round import Desk, Round
from topologies.rounds.delegation import DelegationRound
from topologies.rounds.mesh import MeshRound
from topologies.rounds.ring import RingRound
from topologies.seats import DelegationSeat, MeshSeat, RingSeat, Seat

__all__ = ["create_round"]


def create_round(
    seat: Seat,
    desk: Desk,
    *,
    rounds_over: int = 0,
    now_s: Callable[[], float] = lambda: 0.0,
    is_suspect: Callable[[str], bool] = lambda agent: False,
) -> Round:
    """Make the state machine that plays a seat, in a swarm that has played `rounds_over` rounds already.

    `now_s`: a clock, for what is learned of others' speed and failures; without one nothing is. `is_suspect`: whether
    a neighbour is late with its signs of life.
    """
    match seat:
        case MeshSeat():
            return MeshRound(seat, desk)
        case DelegationSeat():
            return DelegationRound(seat, desk, now_s=now_s)
        case RingSeat():
            return RingRound(seat, desk, rounds_over=rounds_over, now_s=now_s, is_suspect=is_suspect)
        case _:
            assert_never(seat)
