"""The server as a program: `python -m sandboxes.emulator`.

It prints one line of JSON with its address when it listens, and serves until SIGTERM, SIGINT or, with
`--until-stdin-closes`, until the program that started it is gone in whatever way. The API key comes by an environment
variable, because everybody on a machine can read a program's arguments.
"""

import argparse
import contextlib
import importlib.util
import logging
import os
import signal
import sys
from pathlib import Path
from typing import get_args

import anyio
import msgspec

from sandboxes.emulator.control.limits import TIERS
from sandboxes.emulator.descriptor_limit import raise_descriptor_limit
from sandboxes.emulator.errors import EmulatorError
from sandboxes.emulator.server import EmulatorServer
from sandboxes.emulator.server_options import ISOLATION_DEFAULT, SANDBOXES_MAX_DEFAULT, Isolation


def main() -> None:
    """Read the arguments and serve."""
    options = parse_arguments()
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if options.verbose else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s",
    )
    api_key = os.environ.get(options.api_key_env, "")
    if not api_key:
        sys.exit(f"the API key is read from {options.api_key_env}, which is empty or not set: set it")
    raise_descriptor_limit()
    try:
        server = make_server(api_key, options)
        anyio.run(
            serve,
            server,
            options.until_stdin_closes,
            backend_options={"use_uvloop": importlib.util.find_spec("uvloop") is not None},
        )
    except (EmulatorError, OSError) as error:
        sys.exit(f"the server did not start: {error}")


def make_server(api_key: str, options: argparse.Namespace) -> EmulatorServer:
    """Return the server that the arguments describe. Raises `EmulatorError`."""
    return EmulatorServer(
        api_key,
        address=(options.host, options.port),
        data_dir=options.data_dir,
        sandboxes_max=options.sandboxes_max,
        tier=TIERS[options.tier],
        fault_seed=options.fault_seed,
        warm_modules=dict(options.warm),
        isolation=options.isolation,
    )


def parse_arguments() -> argparse.Namespace:
    """Return the program's arguments."""
    parser = argparse.ArgumentParser(prog="python -m sandboxes.emulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one)")
    parser.add_argument("--api-key-env", default="E2B_API_KEY", help="variable that holds the API key")
    parser.add_argument("--data-dir", type=Path, help="where sandboxes keep files (default: a temporary directory)")
    parser.add_argument("--sandboxes-max", type=int, default=SANDBOXES_MAX_DEFAULT, help="how many may live at once")
    parser.add_argument("--tier", choices=sorted(TIERS), default="none", help="keep the limits of a plan of E2B's")
    parser.add_argument("--fault-seed", type=int, default=0, help="decides whom faults with a probability meet")
    warm_help = "keep a module imported that the template's commands run (repeatable)"
    parser.add_argument(
        "--warm", type=parse_warm, action="append", default=[], metavar="TEMPLATE=MODULE", help=warm_help
    )
    isolation_help = "auto: commands run in namespaces of their sandbox where the machine allows it"
    parser.add_argument("--isolation", choices=get_args(Isolation), default=ISOLATION_DEFAULT, help=isolation_help)
    parser.add_argument("--until-stdin-closes", action="store_true", help="stop when standard input ends")
    parser.add_argument("--verbose", action="store_true", help="log every refusal")
    return parser.parse_args()


def parse_warm(text: str) -> tuple[str, str]:
    """Read one `TEMPLATE=MODULE`."""
    template, _, module = text.partition("=")
    if not template or not all(part.isidentifier() for part in module.split(".")):
        raise argparse.ArgumentTypeError(f"{text!r} is not TEMPLATE=MODULE, such as base=http.server")
    return template, module


async def serve(server: EmulatorServer, until_stdin_closes: bool) -> None:
    """Serve until a signal comes or, if wished, standard input ends."""
    async with server:
        # Signals are received before the line is out: its reader may send one at once.
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            line = msgspec.json.encode({"url": server.url, "pid": os.getpid()}).decode()
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
            async with anyio.create_task_group() as waiting:

                async def stop_on_stdin() -> None:
                    await wait_stdin_closed()
                    waiting.cancel_scope.cancel()

                if until_stdin_closes:
                    waiting.start_soon(stop_on_stdin)
                await anext(signals)
                waiting.cancel_scope.cancel()


async def wait_stdin_closed() -> None:
    """Wait for the end of standard input; what is written to it before is ignored."""
    while True:
        # A file or /dev/null cannot be waited for, and is at its end soon enough.
        with contextlib.suppress(PermissionError):
            await anyio.wait_readable(0)
        if not os.read(0, 65_536):
            return


if __name__ == "__main__":
    main()
