"""From what the user wrote to what workers load; and the plan made from it before anything starts."""

from hashlib import sha256

import pytest

from orchestrator.plan import AGENT_SHARE_OF_DEADLINE, make_plan
from orchestrator.spec import make_spec
from orchestrator.strategies_chosen import choose
from strategies import StrategyError, StrategyFileError, UnknownStrategyError
from trading.errors import MarketDataError
from workers.codec import StrategyRef
from workers.desk import load_strategies

FILE = """\
from strategies import Signal, Strategy


class Mine(Strategy):
    lookback = 400

    def signal(self, bars):
        return Signal(0.25, 1.0)
"""


def write(tmp_path, content=FILE, name="mine.py"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def test_built_in_strategies_are_taken_by_name():
    momentum, reversion = choose(["momentum", "mean_reversion"])
    assert momentum.reference == StrategyRef("momentum")
    assert (momentum.lookback, momentum.content, reversion.reference.name) == (253, b"", "mean_reversion")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(FILE, id="plain"),
        pytest.param(FILE.replace("\n", "\r\n"), id="CRLF"),
        pytest.param(b"\xef\xbb\xbf" + FILE.encode(), id="byte order mark"),
        pytest.param(FILE + "# é\n", id="beyond ASCII"),
    ],
)
def test_what_is_uploaded_is_what_the_worker_accepts(tmp_path, content):
    (chosen,) = choose([write(tmp_path, content)])
    assert chosen.reference.sha256 == sha256(chosen.content).hexdigest()
    assert chosen.reference.path == f"swarm/strategy_{chosen.reference.sha256[:12]}.py"
    home = tmp_path / "home"
    (home / "swarm").mkdir(parents=True)
    (home / chosen.reference.path).write_bytes(chosen.content)
    assert list(load_strategies([chosen.reference], home)) == ["mine"]
    assert chosen.lookback == 400


@pytest.mark.parametrize(
    ("wanted", "error", "reason"),
    [
        pytest.param(
            ["unheard"], UnknownStrategyError, "unknown strategy 'unheard'; choose mean_reversion, momentum", id="name"
        ),
        pytest.param(["none.py"], StrategyFileError, "there is no such file", id="no file"),
        pytest.param(["some/where"], StrategyFileError, r"a strategy file ends in \.py", id="no .py"),
        pytest.param(
            ["momentum"] * 2, StrategyError, "'momentum' was asked for 2 times; name each strategy once", id="twice"
        ),
    ],
)
def test_what_cannot_be_run_is_refused(wanted, error, reason):
    with pytest.raises(error, match=reason):
        choose(wanted)


def test_two_files_of_one_name_are_refused(tmp_path):
    files = [write(tmp_path), write(tmp_path, FILE + "# another\n", "other.py")]
    with pytest.raises(StrategyError, match="'mine' was asked for 2 times"):
        choose(files)


def plan_of(**fields):
    return make_plan(make_spec({"topology": "star", "ticks": 5}, fields))


def test_plan_lays_out_the_agents_over_the_tape():
    plan = plan_of(agents=3, symbols="MSFT,AAPL", strategy="momentum,mean_reversion", round_deadline=8)
    assert plan.topology.agents == ("agent-001", "agent-002", "agent-003")
    assert plan.topology.request.symbols == ("AAPL", "MSFT")
    assert plan.topology.request.strategies == ("momentum", "mean_reversion")
    assert plan.topology.request.deadline_s == 8 * AGENT_SHARE_OF_DEADLINE
    assert len(plan.tape.ticks) == 5


def test_strategy_that_looks_far_back_gets_as_much_history(tmp_path):
    plan = plan_of(symbols="AAPL", strategy=write(tmp_path))
    assert len(plan.tape.history["AAPL"]) >= 400


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        pytest.param({"strategy": "unheard"}, StrategyError, id="strategy"),
        pytest.param({"symbols": "UNHEARD"}, MarketDataError, id="symbol"),
        pytest.param({"ticks": 10**9}, MarketDataError, id="ticks"),
    ],
)
def test_fault_of_the_request_is_found_before_anything_starts(fields, error):
    with pytest.raises(error):
        plan_of(**fields)
