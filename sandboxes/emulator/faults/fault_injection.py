"""Faults on purpose, done: a layer around the dispatcher that costs nothing while there are no rules.

Each fault that meets a request wraps what is left of the way to the answer, so that a slow refusal is a latency
around a refusal. The parts of the server behind know nothing of it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import assert_never

import anyio
import msgspec
from aiohttp import web
from anyio.abc import TaskGroup

from sandboxes.emulator.control.control_parts import ControlParts
from sandboxes.emulator.errors import EmulatorError, encode_error
from sandboxes.emulator.faults.fault_writers import CuttingWriter, EndlessWriter, SilentWriter, cut
from sandboxes.emulator.faults.operations import Operation, identify
from sandboxes.emulator.faults.plan import (
    ClockSkew,
    DiskFull,
    Fault,
    FaultPlan,
    Latency,
    NoAnswer,
    NoEndEvent,
    Refusal,
    Reset,
    StreamCut,
    Vanish,
)
from sandboxes.emulator.fleet.sandbox import Sandbox

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Rest = Callable[[], Awaitable[web.StreamResponse]]

NEVER_READ_STATUS = 499
READ_AT_MOST_S = 1.0
"""A stream of input may have no end."""
HTML = "<html><head><title>{status}</title></head><body><h1>{message}</h1></body></html>"


class FaultInjection:
    """Lets requests through, or not quite."""

    def __init__(self, answer: Answer, faults: FaultPlan, *, parts: ControlParts, tasks: TaskGroup) -> None:
        self._answer = answer
        self._faults = faults
        self._parts = parts
        self._tasks = tasks

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request, with the faults that the rules have for it."""
        if not self._faults.rules:
            return await self._answer(request)
        try:
            operation = identify(request)
        except EmulatorError:
            return await self._answer(request)  # which tells the client what is wrong with it
        rest: Rest = partial(self._answer, request)
        for fault in reversed(self._faults.choose(operation)):
            rest = partial(self._meet, request, operation, fault=fault, rest=rest)
        return await rest()

    async def _meet(
        self, request: web.BaseRequest, operation: Operation, *, fault: Fault, rest: Rest
    ) -> web.StreamResponse:
        match fault:
            case Latency():
                await anyio.sleep(fault.seconds)
            case Refusal():
                return refuse(fault)
            case DiskFull():
                body = encode_error(507, "not enough disk space available")
                return web.Response(status=507, body=body, content_type="application/json")
            case Reset() | NoAnswer():
                return await lose(request, fault, rest=rest)
            case StreamCut():
                on_cut = partial(self._declare_gone, operation) if fault.is_gone else do_nothing
                CuttingWriter(request, fault, on_cut=on_cut).install()
            case NoEndEvent():
                EndlessWriter(request).install()
            case Vanish() if "create" not in operation.names:
                await self._vanish(self._parts.registry.find(operation.sandbox_id or ""), fault)
            case Vanish() | ClockSkew():
                return await self._spoil_created(fault, rest=rest)
            case _:
                assert_never(fault)
        return await rest()

    def _declare_gone(self, operation: Operation) -> None:
        body = msgspec.json.encode(
            {"sandboxId": operation.sandbox_id, "message": "The sandbox was not found", "code": 502}
        ).decode()
        self._faults.add("health", Refusal(status=502, body=body), sandbox_id=operation.sandbox_id)

    async def _spoil_created(self, fault: Vanish | ClockSkew, *, rest: Rest) -> web.StreamResponse:
        response = await rest()
        if response.status == 201 and isinstance(response, web.Response) and isinstance(response.body, bytes):
            created = msgspec.json.decode(response.body, type=dict[str, msgspec.Raw])
            sandbox = self._parts.registry.find(msgspec.json.decode(created["sandboxID"], type=str))
            if isinstance(fault, Vanish):
                await self._vanish(sandbox, fault)
            elif sandbox is not None:
                sandbox.skew(api=timedelta(seconds=fault.api_s), envd=timedelta(seconds=fault.envd_s))
        return response

    async def _vanish(self, sandbox: Sandbox | None, fault: Vanish) -> None:
        if sandbox is None:
            return

        async def kill_later() -> None:
            await anyio.sleep(fault.after_s)
            await self._parts.lifecycle.kill(sandbox)

        if fault.after_s == 0:
            await self._parts.lifecycle.kill(sandbox)
        else:
            self._tasks.start_soon(kill_later)


async def lose(request: web.BaseRequest, fault: Reset | NoAnswer, *, rest: Rest) -> web.StreamResponse:
    """Let the answer get lost, after the work or instead of it."""
    if fault.after_work:
        SilentWriter(request).install()
        await rest()
    else:
        await read_to_end(request)
    if isinstance(fault, NoAnswer):
        await anyio.sleep_forever()  # the client's leaving cancels this
    cut(request, is_hard=isinstance(fault, Reset) and fault.is_hard)
    return web.Response(status=NEVER_READ_STATUS)


async def read_to_end(request: web.BaseRequest) -> None:
    """Read a request's body: a connection that closes with something unread ends by a reset."""
    with anyio.move_on_after(READ_AT_MOST_S):
        async for _chunk in request.content.iter_any():
            pass


def refuse(fault: Refusal) -> web.Response:
    """Return the answer that stands in for the right one."""
    headers: dict[str, str] = {}
    if fault.retry_after_s is not None:
        headers["Retry-After"] = str(fault.retry_after_s)
    if fault.should_retry is not None:
        headers["Should-Retry"] = str(fault.should_retry).lower()
    if fault.is_html:
        body = HTML.format(status=fault.status, message=fault.message).encode()
        return web.Response(status=fault.status, body=body, headers=headers, content_type="text/html")
    body = encode_error(fault.status, fault.message) if fault.body is None else fault.body.encode()
    return web.Response(status=fault.status, body=body, headers=headers, content_type="application/json")


def do_nothing() -> None:
    """What else happens at a cut, usually."""


@asynccontextmanager
async def open_fault_injection(
    answer: Answer, faults: FaultPlan, *, parts: ControlParts
) -> AsyncIterator[FaultInjection]:
    """Put the layer around `answer`; what it has planned for later is forgotten at the end."""
    async with anyio.create_task_group() as tasks:
        yield FaultInjection(answer, faults, parts=parts, tasks=tasks)
        tasks.cancel_scope.shield = True  # see control_parts.py
        tasks.cancel_scope.cancel()
