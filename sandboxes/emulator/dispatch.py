"""One port for everything: which plane a request is for (see `targets.py`), and how an error is written."""

import logging

from aiohttp import web

from sandboxes.emulator.control.control_parts import ControlParts
from sandboxes.emulator.envd import envd
from sandboxes.emulator.envd.signatures import find_signed, is_signable
from sandboxes.emulator.errors import EmulatorError, sandbox_not_found
from sandboxes.emulator.fleet.sandbox import ENVD_PORT
from sandboxes.emulator.interpreter import CodeInterpreter, offers_interpreter
from sandboxes.emulator.ports.proxy import PortProxy
from sandboxes.emulator.ports.targets import Target, choose_target

log = logging.getLogger(__name__)

CLIENT_GONE_STATUS = 499


class Dispatcher:
    """Hands each request to the plane it is for."""

    def __init__(self, parts: ControlParts, *, interpreter: CodeInterpreter, proxy: PortProxy) -> None:
        self._registry = parts.registry
        self._control_plane = parts.control_plane
        self._waking = parts.waking
        self._interpreter = interpreter
        self._proxy = proxy

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request; errors become the answers that the SDK understands."""
        try:
            target = choose_target(request)
            if target is None:
                if is_signable(request) and "signature" in request.query:
                    # Where headers choose the sandbox, a signed address does not name it.
                    target = Target(find_signed(request, self._registry.list_living()).id, ENVD_PORT)
                    return await self._enter_sandbox(request, target)
                return await self._control_plane.handle(request)
            return await self._enter_sandbox(request, target)
        except EmulatorError as error:
            log.debug("%s %s: %d %s", request.method, request.path, error.status, error)
            head = error.headers()
            return web.Response(status=error.status, body=error.body(), headers=head, content_type="application/json")
        except ConnectionError:
            # The client hung up, or its sandbox died while something was being written to it. Nobody reads this.
            return web.Response(status=CLIENT_GONE_STATUS)

    async def _enter_sandbox(self, request: web.BaseRequest, target: Target) -> web.StreamResponse:
        sandbox = self._registry.find(target.sandbox_id)
        if sandbox is None:
            raise sandbox_not_found(target.sandbox_id)
        if sandbox.is_paused:
            await self._waking.let_in(request, sandbox, port=target.port)
        with sandbox.connected(request.transport):
            if request.headers.get("Expect", "").lower() == "100-continue":
                await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            if target.port == ENVD_PORT:
                return await envd.handle(request, sandbox)
            if offers_interpreter(sandbox, target.port):
                return await self._interpreter.handle(request, sandbox)
            return await self._proxy.forward(request, sandbox, port=target.port)
