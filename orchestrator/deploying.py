"""One deployment from a plan to a summary, in an event loop of its own, with signals taken care of."""

import signal
from collections.abc import Callable
from dataclasses import dataclass

import anyio
from anyio.abc import TaskStatus

from orchestrator.board import Board
from orchestrator.coordinator import SwarmCoordinator
from orchestrator.crew import AgentLost, SwarmFailed
from orchestrator.modes import loop_options, open_environment
from orchestrator.plan import Plan
from orchestrator.summary import Summary, summarise
from sandboxes.provider import SandboxError

NAME_SUFFIX_BYTES = 3
FAILURES = (SandboxError, SwarmFailed, AgentLost)


class Interrupted(Exception):
    """A signal ended the deployment; everything was stopped in order."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@dataclass(slots=True)
class _Signalled:
    number: int | None = None


def deploy(plan: Plan, *, watch: Callable[[Board], None]) -> Summary:
    """Run a swarm to its end.

    `watch` is given the board before anything starts; the board changes while the swarm runs. Raises SandboxError,
    SwarmFailed, AgentLost, or Interrupted; nothing is left running in any case.
    """
    return anyio.run(_deploy, plan, watch, backend_options=dict(loop_options(plan.spec.mode)))


async def _deploy(plan: Plan, watch: Callable[[Board], None]) -> Summary:
    signalled = _Signalled()
    coordinator: SwarmCoordinator | None = None
    try:
        async with anyio.create_task_group() as tasks:
            await tasks.start(_cancel_on_signal, tasks.cancel_scope, signalled)
            async with open_environment(plan.spec) as environment:
                name = plan.spec.name or f"{plan.spec.topology}-{environment.token_hex(NAME_SUFFIX_BYTES)}"
                coordinator = SwarmCoordinator(plan, environment, name)
                watch(coordinator.board)
                await coordinator.run()
            tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise failure_in(group) from group
    if signalled.number is not None:
        raise Interrupted(signalled.number)
    assert coordinator is not None
    return summarise(coordinator)


async def _cancel_on_signal(scope: anyio.CancelScope, signalled: _Signalled, *, task_status: TaskStatus[None]) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for number in signals:
            signalled.number = signalled.number or number
            scope.cancel()


def failure_in(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Find the failure to tell the user in what task groups raised; the group itself when it is none of ours.

    A sandbox or a rule that failed says more than the connections that broke because of it.
    """
    for kind in FAILURES:
        matching = group.subgroup(kind)
        while matching is not None:
            first = matching.exceptions[0]
            if not isinstance(first, BaseExceptionGroup):
                return first
            matching = first
    return group
