"""What the embedded E2B server costs: time to a first command, many sandboxes, memory, the way to a port, and leaks.

    python -m benchmarks.e2b_server [--rounds R] [--sandboxes N] [--soak [N] [--only-soak]] [--out DIR]

The server runs as a process of its own, the unmodified SDK in this one; both share the machine. Memory is the
proportional set size (PSS) of the server's process alone: what runs in a sandbox is the sandbox's own. `--soak`
creates and kills N sandboxes (10,000), each of which runs a command, and fits a line through what the server holds
meanwhile. The first half does not count: the server remembers the last 10,000 events and the logs of the last 1,000
sandboxes on purpose, and is full of them after 5,000. `--only-soak` keeps the other figures of the report that is
there, and says when each part was measured. Writes DIR/e2b_server.json (all figures) and DIR/e2b_server.md (the
table).
"""

import argparse
import os
import statistics
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import aiohttp
import anyio
import msgspec

from benchmarks.deploy import read_pss_mb
from benchmarks.machine import Machine, describe_machine, machine_lines
from sandboxes.embedded import EmbeddedServer, open_embedded_server

if TYPE_CHECKING:
    from e2b import E2B

API_KEY = "e2b_0123456789abcdef"
WARM_UP_ROUNDS = 10
AT_ONCE_MAX = 50
MANY_ROUNDS = 5
ROUND_TRIPS = 1000
PORT = 8080
SOAK_DEFAULT = 10_000
SOAK_AT_ONCE = 8
SOAK_SAMPLES = 50
UNCOUNTED_SHARE = 0.5
SETTLE_S = 0.5
REPORT = "e2b_server"
SOAK = "soak"
ECHO_SERVER = """
import os
from aiohttp import WSMsgType, web

async def echo(request):
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(message.data)
    return socket

app = web.Application()
app.router.add_get("/", echo)
print("ready", flush=True)
web.run_app(app, host=os.environ["E2B_SANDBOX_IP"], port=8080, print=None)
"""


class Figure(msgspec.Struct, frozen=True):
    """One measured value; the bar is what it should stay under."""

    measure: str
    unit: str
    value: float
    bar: float | None = None
    values: tuple[float, ...] = ()


class Sample(msgspec.Struct, frozen=True):
    """What the server held after so many sandboxes."""

    sandboxes: int
    pss_mb: float
    descriptors: int
    threads: int
    processes: int


class Report(msgspec.Struct, frozen=True):
    """All figures."""

    machine: Machine
    load_average: float
    """Of the minute before: how many other processes wanted the cores."""
    figures: tuple[Figure, ...]
    soak: tuple[Sample, ...]
    soak_machine: Machine | None = None
    """Where and when the soak was measured, if not with the rest."""
    soak_load_average: float = 0.0


class Bench:
    """A running server and the SDK bound to it."""

    def __init__(self, server: EmbeddedServer, client: "E2B") -> None:
        self.server = server
        self.sandboxes = client.AsyncSandbox

    async def measure_first_command(self, rounds: int) -> list[Figure]:
        """Create a sandbox and run a command in it, again and again."""
        started: list[float] = []
        ended: list[float] = []
        for _ in range(WARM_UP_ROUNDS + rounds):
            began = perf_counter()
            sandbox = await self.sandboxes.create(timeout=60)
            command = await sandbox.commands.run("true", background=True, timeout=0)
            started.append(1000 * (perf_counter() - began))
            await command.wait()
            ended.append(1000 * (perf_counter() - began))
            await sandbox.kill()
        return [
            describe("create to first command started, p50", "ms", started[WARM_UP_ROUNDS:], bar=10),
            describe("create to first command ended (a login shell), p50", "ms", ended[WARM_UP_ROUNDS:]),
        ]

    async def measure_many(self, count: int) -> Figure:
        """Create many sandboxes, each with a command that is followed, and wait until all run."""

        async def make() -> None:
            sandbox = await self.sandboxes.create(timeout=600)
            await sandbox.commands.run("exec sleep 600", background=True, timeout=0, retain_output=False)

        taken_s: list[float] = []
        for _ in range(MANY_ROUNDS):
            began = perf_counter()
            await in_parallel(make, count, at_once=AT_ONCE_MAX)
            taken_s.append(perf_counter() - began)
            await self.kill_all()
        return describe(f"{count} sandboxes, each with a live command stream, p50", "s", taken_s, bar=2)

    async def measure_memory(self, count: int) -> Figure:
        """Create many sandboxes in which nothing runs."""
        before = read_pss_mb(self.server.pid)

        async def make() -> None:
            await self.sandboxes.create(timeout=600)

        await in_parallel(make, count, at_once=AT_ONCE_MAX)
        after = read_pss_mb(self.server.pid)
        assert before is not None
        assert after is not None
        await self.kill_all()
        return Figure(f"server memory per idle sandbox (PSS, {count} of them)", "MiB", (after - before) / count, 0.5)

    async def measure_round_trips(self) -> Figure:
        """Send messages through the proxy to a WebSocket server in a sandbox and back, one after the other."""
        sandbox = await self.sandboxes.create(timeout=600)
        await sandbox.files.write("echo.py", ECHO_SERVER)
        ready = anyio.Event()
        await sandbox.commands.run(
            f"exec {sys.executable} echo.py", background=True, timeout=0, on_stdout=lambda _: ready.set()
        )
        await ready.wait()
        headers = {"E2b-Sandbox-Id": sandbox.sandbox_id, "E2b-Sandbox-Port": str(PORT)}
        async with aiohttp.ClientSession(headers=headers) as http, await dial(http, self.server.url) as socket:
            began = perf_counter()
            for number in range(ROUND_TRIPS):
                await socket.send_str(str(number))
                await socket.receive()
            taken_s = perf_counter() - began
        await self.kill_all()
        return Figure(f"{ROUND_TRIPS:,} WebSocket round trips through the proxy", "s", round(taken_s, 3), 0.3)

    async def soak(self, count: int) -> list[Sample]:
        """Create and kill sandboxes, and look at the server now and then."""
        samples: list[Sample] = []

        async def live() -> None:
            sandbox = await self.sandboxes.create(timeout=60)
            await sandbox.commands.run("true")
            await sandbox.kill()

        part = max(1, count // SOAK_SAMPLES)
        for done in range(part, count + 1, part):
            await in_parallel(live, part, at_once=SOAK_AT_ONCE)
            samples.append(take_sample(self.server.pid, done))
            print(f"soak: {done:,} of {count:,}: {samples[-1]}", flush=True)
        return samples

    async def kill_all(self) -> None:
        """Kill all sandboxes, and let the server come to rest."""
        pages = self.sandboxes.list()
        living = []
        while pages.has_next:
            living += [info.sandbox_id for info in await pages.next_items()]
        async with anyio.create_task_group() as kills:
            for sandbox_id in living:
                kills.start_soon(self.sandboxes.kill, sandbox_id)
        await anyio.sleep(SETTLE_S)


def describe(measure: str, unit: str, values: list[float], *, bar: float | None = None) -> Figure:
    """Return the median of many values, and the values."""
    return Figure(measure, unit, round(statistics.median(values), 2), bar, tuple(round(value, 2) for value in values))


async def dial(http: aiohttp.ClientSession, url: str) -> aiohttp.ClientWebSocketResponse:
    """Connect as soon as the sandbox's program listens."""
    with anyio.fail_after(10):
        while True:
            try:
                return await http.ws_connect(url)
            except aiohttp.WSServerHandshakeError:
                await anyio.sleep(0.02)


async def in_parallel(operation: Callable[[], Awaitable[None]], count: int, *, at_once: int) -> None:
    """Run an operation many times, so many of them at once."""
    left = iter(range(count))

    async def work() -> None:
        for _ in left:
            await operation()

    async with anyio.create_task_group() as workers:
        for _ in range(min(at_once, count)):
            workers.start_soon(work)


def take_sample(pid: int, done: int) -> Sample:
    """Look at the server's process and its children."""
    process = Path(f"/proc/{pid}")
    threads = sorted(int(thread.name) for thread in (process / "task").iterdir())
    children = sum(len((process / f"task/{thread}/children").read_text().split()) for thread in threads)
    return Sample(
        sandboxes=done,
        pss_mb=read_pss_mb(pid) or 0.0,
        descriptors=len(list((process / "fd").iterdir())),
        threads=len(threads),
        processes=children,
    )


def fit_slopes(samples: list[Sample]) -> list[Figure]:
    """Return by how much each thing grew per 1,000 sandboxes, by least squares over the second half."""
    counted = samples[int(len(samples) * UNCOUNTED_SHARE) :]
    if len(counted) < 2:
        return []
    at = [sample.sandboxes / 1000 for sample in counted]
    names = (("pss_mb", "memory", "MiB"), ("descriptors",) * 2 + ("",), ("threads",) * 2 + ("",))
    figures = []
    for name, words, unit in (*names, ("processes", "child processes", "")):
        values = [float(getattr(sample, name)) for sample in counted]
        slope = statistics.linear_regression(at, values).slope
        figures.append(
            Figure(f"{SOAK} of {samples[-1].sandboxes:,}: {words} per 1,000 sandboxes", unit, round(slope, 3))
        )
    return figures


def figure_table(figures: list[Figure]) -> list[str]:
    """One row a figure."""
    rows = [
        f"| {figure.measure} | {figure.value:,.3g} {figure.unit} | {'' if figure.bar is None else figure.bar} |"
        for figure in figures
    ]
    return ["| measure | value | bar |", "|---|---|---|", *rows]


def write_report(report: Report, directory: Path) -> str:
    """Write both files and return the Markdown."""
    directory.mkdir(parents=True, exist_ok=True)
    lines = [
        "# The embedded E2B server",
        "",
        *figure_table(list(report.figures)),
        "",
        *machine_lines(report.machine),
        f"Load average of the minute before: {report.load_average:.1f}.",
        "",
    ]
    if report.soak_machine is not None:
        load = f"Load average of the minute before: {report.soak_load_average:.1f}."
        lines += ["The soak:", *machine_lines(report.soak_machine), load, ""]
    text = "\n".join(lines)
    (directory / f"{REPORT}.md").write_text(text)
    (directory / f"{REPORT}.json").write_bytes(msgspec.json.encode(report))
    return text


@asynccontextmanager
async def open_bench() -> AsyncIterator[Bench]:
    """Start a server and bind the SDK to it."""
    from e2b import E2B

    async with open_embedded_server(API_KEY) as server:
        yield Bench(server, E2B(api_key=API_KEY, api_url=server.url, sandbox_url=server.url))


async def measure(options: argparse.Namespace) -> Report:
    """Measure everything that is asked for, each part on a server of its own."""
    load_average = os.getloadavg()[0]
    figures: list[Figure] = []
    samples: list[Sample] = []
    async with open_bench() as bench:
        figures += await bench.measure_first_command(options.rounds)
        figures.append(await bench.measure_many(options.sandboxes))
        figures.append(await bench.measure_round_trips())
    async with open_bench() as bench:
        await bench.measure_first_command(1)
        figures.append(await bench.measure_memory(options.sandboxes))
    if options.soak:
        async with open_bench() as bench:
            samples = await bench.soak(options.soak)
        figures += fit_slopes(samples)
    return Report(describe_machine("benchmarks.e2b_server"), load_average, tuple(figures), tuple(samples))


async def measure_soak(options: argparse.Namespace) -> Report:
    """Measure the soak anew, and keep the other figures of the report that is there."""
    before = msgspec.json.decode((options.out / f"{REPORT}.json").read_bytes(), type=Report)
    load_average = os.getloadavg()[0]
    async with open_bench() as bench:
        samples = await bench.soak(options.soak)
    kept = [figure for figure in before.figures if not figure.measure.startswith(SOAK)]
    return msgspec.structs.replace(
        before,
        figures=(*kept, *fit_slopes(samples)),
        soak=tuple(samples),
        soak_machine=describe_machine("benchmarks.e2b_server"),
        soak_load_average=load_average,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.e2b_server", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="first commands that are timed (default 200)")
    parser.add_argument("--sandboxes", type=int, default=250, help="how many at once (default 250)")
    parser.add_argument("--soak", type=int, nargs="?", const=SOAK_DEFAULT, default=0, help="also look for leaks")
    parser.add_argument("--only-soak", action="store_true", help="measure the soak alone")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="where the report goes")
    options = parser.parse_args()
    if options.only_soak and not options.soak:
        options.soak = SOAK_DEFAULT
    # One connection for each followed command; the SDK reads this when it is imported.
    os.environ["E2B_MAX_CONNECTIONS"] = str(2 * options.sandboxes + 100)
    measured = measure_soak if options.only_soak else measure
    report = anyio.run(measured, options, backend_options={"use_uvloop": True})
    print(write_report(report, options.out))


if __name__ == "__main__":
    main()
