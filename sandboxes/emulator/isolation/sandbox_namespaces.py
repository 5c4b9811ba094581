"""The namespaces of one sandbox: made at its first command, with the network that its rules ask for.

A sandbox whose way out is restricted gets a network that leads nowhere, and a gate that lets out what the rules allow.
The others are in the machine's network. Processes stay in the one that they were started in.
"""

import socket
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from sandboxes.emulator.errors import RpcError
from sandboxes.emulator.fleet.egress_rules import EgressMeans, EgressRules
from sandboxes.emulator.fleet.links import see_inside
from sandboxes.emulator.isolation.egress_gate import EgressGate
from sandboxes.emulator.isolation.enclosures import Enclosure, EnclosureFailed, EnclosureMaker


class SandboxNamespaces:
    """What is, or will be, around the commands of a sandbox."""

    def __init__(self, root: Path, maker: EnclosureMaker | None, *, rules: EgressRules, tasks: TaskGroup) -> None:
        """Without `maker` there are none, and commands run beside the server."""
        self._root = root
        self._maker = maker
        self._tasks = tasks
        self._means = EgressMeans() if maker is None else maker.means
        self.has_network = True
        """Whether commands are in the machine's network; else the way out is guarded, or there is none."""
        self._is_settled = False
        self.set_rules(rules)
        self._enclosure: Enclosure | None = None
        self._opening = anyio.Lock()
        self._is_closed = False

    @property
    def enclosure(self) -> Enclosure | None:
        """The namespaces, if there are some by now."""
        return self._enclosure if self._enclosure is not None and self._enclosure.is_alive else None

    def see(self, real: Path) -> str:
        """Return the path by which commands see something in the sandbox's tree."""
        return str(real) if self._maker is None else see_inside(real, self._root)

    def set_rules(self, rules: EgressRules) -> None:
        """Set what the sandbox may reach."""
        self._rules = rules
        if rules.are_restrictive and not self._is_settled and self._means.suffice_for(rules):
            self.has_network = False

    def keeps(self, rules: EgressRules) -> bool:
        """Whether the sandbox reaches what these rules allow and nothing else, if they are set now or have been."""
        if not self.has_network:
            return self._means.filters_network or rules.let_nothing_out
        return not rules.are_restrictive or (not self._is_settled and self._means.suffice_for(rules))

    def settle(self) -> None:
        """Take note that a command is about to start, wherever that may be."""
        self._is_settled = True

    def close(self) -> None:
        """Let no more be made."""
        self._is_closed = True

    async def wait_closed(self) -> None:
        """Wait until the namespaces, whose processes are killed already, are gone."""
        async with self._opening:
            if self._enclosure is not None:
                self._enclosure.kill()
                await self._enclosure.over.wait()

    def open_socket(self, family: int) -> socket.socket | None:
        """Return a socket in the sandbox's own network, `None` if it has none by now. Raises `OSError`."""
        enclosure = self.enclosure
        return None if self.has_network or enclosure is None else enclosure.open_socket(family)

    async def open(self) -> Enclosure | None:
        """Return the namespaces, made if they are not there, `None` if there are to be none. Raises `RpcError`."""
        if self._maker is None or self.enclosure is not None:
            return self.enclosure
        failures: list[EnclosureFailed] = []
        done = anyio.Event()
        maker = self._maker

        async def make() -> None:  # a task of the server: half an enclosure would be nobody's
            try:
                async with self._opening:
                    if self.enclosure is None and not self._is_closed:
                        await self._make(maker)
            except EnclosureFailed as failure:
                failures.append(failure)
            done.set()
            await maker.refill()

        self._tasks.start_soon(make)
        await done.wait()
        for failure in failures:
            raise RpcError("resource_exhausted", f"the sandbox's namespaces could not be made: {failure}")
        if self._enclosure is None:
            raise RpcError("not_found", "the sandbox is being killed: create another one")
        return self._enclosure

    async def _make(self, maker: EnclosureMaker) -> None:
        with anyio.CancelScope(shield=True):
            enclosure = await maker.make(self._root, has_network=self.has_network)
            gate = None if self.has_network or not self._means.filters_network else self._open_gate(enclosure)
            self._enclosure = enclosure
            self._tasks.start_soon(follow, enclosure, gate)

    def _open_gate(self, enclosure: Enclosure) -> EgressGate:
        """Guard the way out. Raises `EnclosureFailed`."""
        try:
            return EgressGate(enclosure.watch_connections(), lambda: self._rules)
        except OSError as error:
            enclosure.abandon()
            raise EnclosureFailed(f"connections could not be watched: {error.strerror}") from error


async def follow(enclosure: Enclosure, gate: EgressGate | None) -> None:
    """Serve namespaces and their way out until process 1 ends."""
    async with anyio.create_task_group() as tasks:
        if gate is not None:
            tasks.start_soon(gate.serve)
        await enclosure.follow()
        tasks.cancel_scope.cancel()
