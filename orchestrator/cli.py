"""The command line. Every fault of a request is one line on standard error and exit code 2, with nothing started.

Exit codes: 0 done, 1 failed on the way, 2 a request that cannot be carried out, 128 + n ended by signal n.
"""

import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import structlog
import typer
from rich.console import Console
from typer.exceptions import TyperException

from orchestrator import options
from orchestrator.crew import AgentLost, SwarmFailed
from orchestrator.deploying import Interrupted, deploy
from orchestrator.display import Display, plain_progress, print_summary
from orchestrator.doctor_command import doctor_command
from orchestrator.modes import require_mode
from orchestrator.plan import Plan, make_plan
from orchestrator.server_command import ServerFailed, server_command
from orchestrator.simulate_command import simulate_app
from orchestrator.spec import SpecError, make_spec, read_spec_file
from orchestrator.summary import Summary
from orchestrator.template_command import template_app
from sandboxes.manager import CapacityExceeded
from sandboxes.provider import CredentialsRefused, SandboxError
from strategies import StrategyError
from trading.errors import TradingError

FAILED = 1
USAGE = 2

app = typer.Typer(
    name="e2b-swarm",
    add_completion=True,
    pretty_exceptions_enable=False,
)


class _Failure(Exception):
    """What went wrong, in one line, and the exit code that says so."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@app.callback()
def _root() -> None:
    """Deploy swarms of trading-strategy workers into E2B sandboxes, wired as a mesh, a hierarchy, a ring or a star."""


app.command("e2b-server")(server_command)
app.command("doctor")(doctor_command)
app.add_typer(simulate_app)
app.add_typer(template_app)


@app.command("deploy")
def deploy_command(
    topology: options.Topology = None,
    agents: options.Agents = None,
    strategy: options.Strategy = None,
    symbols: options.Symbols = None,
    ticks: options.Ticks = None,
    data: options.Data = None,
    mode: options.Mode = None,
    distribution: options.Distribution = None,
    voting: options.Voting = None,
    risk_strategy: options.RiskStrategy = None,
    seed: options.Seed = None,
    pace: options.Pace = None,
    name: options.Name = None,
    chaos: options.Chaos = None,
    spec: options.Spec = None,
    json: options.Json = False,
) -> None:
    """Deploy a swarm, trade through a replay of real prices, and stop it.

    Each agent is a worker process in a sandbox of its own, wired as the topology says over real connections. Every tick
    becomes a round, every round a decision for each symbol, traded on paper at the next tick's price.

    \b
    Examples:
      e2b-swarm deploy --topology mesh
      e2b-swarm deploy --topology ring --agents 8 --strategy momentum --strategy mean_reversion
      e2b-swarm deploy --topology star --strategy my_strategy.py --symbols SP500,NASDAQ --json
      e2b-swarm deploy --topology star --chaos "kill:hub@round=50; stop:spoke@1s/500ms; partition:hub,random@2s/1s"
    """
    given: dict[str, object] = {"topology": topology, "agents": agents, "strategy": tuple(strategy or ()) or None}
    given |= {"symbols": symbols, "ticks": ticks, "data": data, "mode": mode, "seed": seed, "pace": pace, "name": name}
    given |= {"distribution": distribution, "voting": voting, "risk_strategy": tuple(risk_strategy or ()) or None}
    given["chaos"] = chaos
    plan = _plan(given, spec)
    _report(_deploy(plan, json=json), json=json)


def run(arguments: Sequence[str]) -> int:
    """Run a command and return its exit code; whatever goes wrong is one line on standard error."""
    _log_to_stderr()
    try:
        result = typer.main.get_command(app).main(
            list(arguments) or ["--help"], prog_name="e2b-swarm", standalone_mode=False
        )
    except TyperException as error:
        return _say(USAGE, f"{error.format_message()} (see e2b-swarm --help)")
    except (typer.Abort, KeyboardInterrupt):
        return _say(128 + signal.SIGINT, "interrupted")
    except Interrupted as error:
        return _say(128 + error.number, f"stopped by {error}; all sandboxes are gone")
    except _Failure as error:
        return _say(error.code, str(error))
    except CredentialsRefused as error:
        return _say(USAGE, str(error))
    except (SandboxError, ServerFailed) as error:
        return _say(FAILED, str(error))
    if not arguments:
        return USAGE
    return result if isinstance(result, int) else 0


def _plan(flags: dict[str, object], file: Path | None) -> Plan:
    try:
        spec = make_spec(read_spec_file(file) if file is not None else {}, flags)
        require_mode(spec.mode)
        return make_plan(spec)
    except (SpecError, StrategyError, TradingError, CredentialsRefused) as error:
        raise _Failure(USAGE, str(error)) from error


def _deploy(plan: Plan, *, json: bool) -> Summary:
    console = Console(stderr=True)
    try:
        if console.is_terminal and not json:
            display = Display(console)
            with display.show():
                return deploy(plan, watch=display.watch)
        with plain_progress(structlog.get_logger().info) as watch:
            return deploy(plan, watch=watch)
    except (CredentialsRefused, CapacityExceeded) as error:
        raise _Failure(USAGE, str(error)) from error
    except (SandboxError, SwarmFailed, AgentLost) as error:
        raise _Failure(FAILED, str(error)) from error


def _report(summary: Summary, *, json: bool) -> None:
    if json:
        sys.stdout.write(msgspec.json.encode(summary).decode() + "\n")
    else:
        print_summary(Console(), summary)
    if summary.success_rate < 1.0 or summary.sandboxes.left:
        raise _Failure(FAILED, f"success rate {summary.success_rate:.3f}, {summary.sandboxes.left} sandboxes left")


def _say(code: int, message: str) -> int:
    sys.stderr.write(f"e2b-swarm: {' '.join(message.split())}\n")
    return code


def _log_to_stderr() -> None:
    structlog.configure(
        processors=[
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.add_log_level,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
