"""Who has which voice in a mesh: each symbol has a fixed number of slots, and each slot one holder. Pure.

A slot's holder is its owner; in place of a dead one it is a spare, or else another owner, so that a decision is made
from the same number of voices as long as anybody is left to speak.
"""

from collections.abc import Callable, Container, Sequence

from topologies.messages import Task
from topologies.seats import MeshSeat, MeshSlot


class Voices:
    """The voices on all symbols, as one agent sees them."""

    def __init__(self, seat: MeshSeat, *, is_dead: Callable[[str], bool]) -> None:
        self._seat = seat
        self._is_dead = is_dead

    def slots(self, symbol: str) -> tuple[MeshSlot, ...]:
        return self._seat.slots[symbol]

    def holders(self, symbol: str) -> list[str]:
        """Name who has each voice on a symbol."""
        slots = self._seat.slots[symbol]
        alive = [slot.owner for slot in slots if not self._is_dead(slot.owner)]
        spares = [agent for agent in self._seat.spares[symbol] if not self._is_dead(agent)]
        substitutes = iter([*spares, *alive * len(slots)])
        return [slot.owner if not self._is_dead(slot.owner) else next(substitutes, slot.owner) for slot in slots]

    def mine(self, symbols: Sequence[str]) -> list[tuple[str, int, MeshSlot]]:
        """List the voices this agent has: symbol, number of the slot, the slot."""
        return [
            (symbol, number, slot)
            for symbol in symbols
            if symbol in self._seat.slots
            for number, (holder, slot) in enumerate(zip(self.holders(symbol), self.slots(symbol), strict=True))
            if holder == self._seat.agent
        ]

    def substitutes(self, symbols: Sequence[str]) -> set[str]:
        """Name those who have a voice that is not their own beside one of this agent's: nobody told them so far."""
        return {
            holder
            for symbol, _, _ in self.mine(symbols)
            for holder, slot in zip(self.holders(symbol), self.slots(symbol), strict=True)
            if holder != slot.owner
        }

    def spoken(self, round: int, symbol: str, *, votes: Container[str]) -> list[int]:
        """List the slots all of whose tasks of a round are among those voted on."""
        return [
            number
            for number, slot in enumerate(self.slots(symbol))
            if all(task.key in votes for task in slot_tasks(round, symbol, slot=number, strategies=slot.strategies))
        ]


def slot_tasks(round: int, symbol: str, *, slot: int, strategies: tuple[str, ...]) -> tuple[Task, ...]:
    """List the tasks of one voice: each is computed once, by whoever has the voice."""
    return tuple(
        Task(key=f"{round}/{symbol}/{strategy}#{slot}", symbol=symbol, strategy=strategy)
        for strategy in sorted(strategies)
    )
