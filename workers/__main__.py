"""`python -m workers`: one anonymous worker, listening on its port until it is assigned, stopped or killed.

It prints one line when it listens, so that whoever started it need not guess. The embedded server gives each sandbox
an address of its own in E2B_SANDBOX_IP, so that all of them can use the same port.
"""

import argparse
import contextlib
import encodings.idna  # noqa: F401 - what the first connection would load
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import anyio

from workers.host import Host
from workers.http_network import open_http_network, serve_http
from workers.worker import Worker

# Loaded now, because a warm process forks workers that then find it loaded; anyio would load these when it runs.
with contextlib.suppress(ImportError):
    importlib.import_module("uvloop")
    importlib.import_module("anyio._backends._asyncio")

PORT_DEFAULT = 8080
LISTENING = "e2b-swarm worker listening on port"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m workers", description=__doc__)
    parser.add_argument("--port", type=int, default=PORT_DEFAULT, help=f"port to listen on (default {PORT_DEFAULT})")
    options = parser.parse_args(arguments)
    anyio.run(_serve, options.port, backend_options={"use_uvloop": sys.platform != "win32"})
    return 0


async def _serve(port: int) -> None:
    async with open_http_network() as network:
        worker = Worker(network, Host(home=Path.home()))
        async with serve_http(worker, host=os.environ.get("E2B_SANDBOX_IP", "0.0.0.0"), port=port) as bound:
            sys.stdout.write(f"{LISTENING} {bound}\n")
            sys.stdout.flush()
            await worker.run()


if __name__ == "__main__":
    sys.exit(main())
