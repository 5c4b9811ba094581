"""Traffic to a paused sandbox: it wakes the sandbox if its creator wished so, and otherwise finds nobody.

At E2B a paused sandbox looks like one that is gone to whoever sends it requests; only a connect by its owner, or
`autoResume`, brings it back. A stranger must not be able to wake it: the request has to hold the token of where it
goes. A sandbox that kept its files only is never woken so, because the program asked for no longer runs.
"""

from aiohttp import web

from sandboxes.emulator.errors import ProxyError, sandbox_not_found
from sandboxes.emulator.fleet.lifecycle import SandboxLifecycle
from sandboxes.emulator.fleet.sandbox import ENVD_PORT, PauseMode, Sandbox
from sandboxes.emulator.ids import tokens_match
from sandboxes.emulator.ports.proxy import TRAFFIC_TOKEN_HEADER

WOKEN_TIMEOUT_MIN_S = 300.0
"""How long a sandbox woken by traffic runs at least."""


class Waking:
    """Wakes paused sandboxes when somebody knocks."""

    def __init__(self, lifecycle: SandboxLifecycle) -> None:
        self._lifecycle = lifecycle

    async def let_in(self, request: web.BaseRequest, sandbox: Sandbox, *, port: int) -> None:
        """Return when a paused sandbox runs again.

        Raises `ProxyError` (502) if it stays paused, (403) without its token, and `ApiError` (404, 429).
        """
        if not sandbox.spec.lifecycle.resumes_on_traffic or sandbox.pause_mode is not PauseMode.FULL:
            raise sandbox_not_found(sandbox.id)
        if not holds_token(request, sandbox, port=port):
            raise ProxyError(403, "You do not have permission to resume the sandbox", sandbox_id=sandbox.id)
        await self._lifecycle.resume(sandbox, max(sandbox.spec.timeout_s, WOKEN_TIMEOUT_MIN_S))


def holds_token(request: web.BaseRequest, sandbox: Sandbox, *, port: int) -> bool:
    """Whether a request may enter: envd's port asks for its token, others for the traffic token if there is one."""
    if port == ENVD_PORT:
        return tokens_match(sandbox.envd_token, request.headers.get("X-Access-Token", ""))
    if sandbox.traffic_token is None:
        return True
    return tokens_match(sandbox.traffic_token, request.headers.get(TRAFFIC_TOKEN_HEADER, ""))
