"""Who has which voice in a mesh: each symbol has a fixed number of slots, and each slot one holder. Pure.

A slot's holder is its owner; in place of a dead one it is a spare, or else another owner, so that a decision is made
from the same number of voices as long as anybody is left to speak.
"""

from collections.abc import Sequence

from topologies.messages import Task
from topologies.seats import MeshSeat, MeshSlot


class Voices:
    """The voices on all symbols, as one agent sees them."""

    def __init__(self, seat: MeshSeat) -> None:
        self._seat = seat
        self._dead: set[str] = set()
        self._held: dict[str, list[str]] = {}  # by symbol, who has its voices as things stand

    def lose(self, agent: str) -> None:
        """An agent is dead: its voices go to others."""
        self._dead.add(agent)
        self._held.clear()

    def regain(self, agent: str) -> None:
        """An agent is alive again, and its voices are its own."""
        self._dead.discard(agent)
        self._held.clear()

    def is_dead(self, agent: str) -> bool:
        return agent in self._dead

    def slots(self, symbol: str) -> tuple[MeshSlot, ...]:
        return self._seat.slots[symbol]

    def holders(self, symbol: str) -> list[str]:
        """Name who has each voice on a symbol."""
        if symbol not in self._held:
            slots = self._seat.slots[symbol]
            alive = [slot.owner for slot in slots if slot.owner not in self._dead]
            spares = [agent for agent in self._seat.spares[symbol] if agent not in self._dead]
            substitutes = iter([*spares, *alive * len(slots)])
            self._held[symbol] = [
                slot.owner if slot.owner not in self._dead else next(substitutes, slot.owner) for slot in slots
            ]
        return self._held[symbol]

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

    def tasks(self, round: int, symbol: str) -> list[tuple[Task, ...]]:
        """List the tasks of each voice on a symbol."""
        return [
            slot_tasks(round, symbol, slot=number, strategies=slot.strategies)
            for number, slot in enumerate(self.slots(symbol))
        ]

    def task_keys(self, round: int, symbol: str) -> list[frozenset[str]]:
        """Name the tasks of each voice on a symbol."""
        return [frozenset(task.key for task in tasks) for tasks in self.tasks(round, symbol)]


def slot_tasks(round: int, symbol: str, *, slot: int, strategies: tuple[str, ...]) -> tuple[Task, ...]:
    """List the tasks of one voice: each is computed once, by whoever has the voice."""
    return tuple(
        Task(key=f"{round}/{symbol}/{strategy}#{slot}", symbol=symbol, strategy=strategy)
        for strategy in sorted(strategies)
    )
