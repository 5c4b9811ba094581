"""The rules of a round in each topology, as state machines: messages and timers in, actions out."""

from typing import assert_never

from topologies.round import Desk, Round
from topologies.rounds.delegation import DelegationRound
from topologies.rounds.mesh import MeshRound
from topologies.rounds.ring import RingRound
from topologies.seats import MeshSeat, RingSeat, Seat, StarSeat, TreeSeat

__all__ = ["create_round"]


def create_round(seat: Seat, desk: Desk) -> Round:
    """Make the state machine that plays a seat."""
    match seat:
        case MeshSeat():
            return MeshRound(seat, desk)
        case TreeSeat() | StarSeat():
            return DelegationRound(seat, desk)
        case RingSeat():
            return RingRound(seat, desk)
        case _:
            assert_never(seat)
