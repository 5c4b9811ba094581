"""`e2b-swarm e2b-server`: the embedded E2B server for anyone's own code, until it is stopped.

The server is imported when the command runs, so that other commands do not wait for it.
"""

import enum
import os
import secrets
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import anyio
import typer

if TYPE_CHECKING:
    from sandboxes.emulator import EmulatorServer

KEY_VARIABLE = "E2B_SERVER_KEY"
FREE_PORT = 0


class TierName(enum.StrEnum):
    """The plans whose limits the server can keep; their figures are in `sandboxes.emulator.control.limits`."""

    HOBBY = "hobby"
    PRO = "pro"
    NONE = "none"


Port = Annotated[
    int, typer.Option(help="Port to listen on.", metavar="N", min=0, max=65_535, show_default="a free one")
]
Host = Annotated[str, typer.Option(help="Address to listen on; anything but loopback lets others in.", metavar="IP")]
DataDir = Annotated[
    Path | None,
    typer.Option(help="Where sandboxes keep files.", metavar="D", show_default="a temporary one, removed at the end"),
]
TierOption = Annotated[TierName, typer.Option(help="Keep the limits of a plan of E2B's.")]


class ServerFailed(RuntimeError):
    """The server could not start."""


def server_command(
    port: Port = FREE_PORT, host: Host = "127.0.0.1", *, data_dir: DataDir = None, tier: TierOption = TierName.NONE
) -> None:
    """Serve E2B's API on this machine, for tests and work without an account.

    Prints the three lines that a client's shell needs, and serves until Ctrl-C or SIGTERM, which are its usual end:
    everything is cleaned up and the exit code is 0. The key is that of E2B_SERVER_KEY, or a new one.
    Sandboxes are processes of yours: this is for trusted code.

    \b
    Examples:
      e2b-swarm e2b-server
      E2B_SERVER_KEY=e2b_mine e2b-swarm e2b-server --port 3001 --tier hobby
    """
    from sandboxes.emulator import EmulatorError, EmulatorServer
    from sandboxes.emulator.control.limits import TIERS
    from sandboxes.emulator.descriptor_limit import raise_descriptor_limit

    api_key = os.environ.get(KEY_VARIABLE) or f"e2b_{secrets.token_hex(20)}"
    raise_descriptor_limit()
    try:
        server = EmulatorServer(api_key, address=(host, port), data_dir=data_dir, tier=TIERS[tier])
        anyio.run(_serve, server, backend_options={"use_uvloop": os.name == "posix"})
    except (EmulatorError, OSError) as error:
        raise ServerFailed(f"the server did not start: {error}") from error


async def _serve(server: "EmulatorServer") -> None:
    async with server:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            for name, value in (
                ("E2B_API_KEY", server.api_key),
                ("E2B_API_URL", server.url),
                ("E2B_SANDBOX_URL", server.url),
            ):
                sys.stdout.write(f"export {name}={value}\n")
            sys.stdout.flush()
            sys.stderr.write("e2b-server: serving until Ctrl-C; paste the lines above into the shell of your client\n")
            await anext(signals)
