"""What a user may ask for, and the one line that answers what cannot be."""

import pytest

from orchestrator.spec import Mode, SpecError, make_spec, read_spec_file
from topologies.kinds import TopologyKind


def spec_of(**fields):
    return make_spec({"topology": "mesh"}, fields)


def test_topology_is_all_that_must_be_given():
    spec = make_spec({}, {"topology": "ring"})
    assert (spec.topology, spec.agents, spec.strategy, spec.mode) == (TopologyKind.RING, 5, ("momentum",), Mode.LOCAL)
    assert spec.symbols is spec.ticks is spec.data is spec.name is None


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        pytest.param(
            {"topology": "blob"}, "unknown topology 'blob'; choose mesh, hierarchical, ring, star", id="topology"
        ),
        pytest.param({"topology": "MESH"}, "unknown topology 'MESH'; choose mesh", id="topology in capitals"),
        pytest.param({"mode": "cloud"}, "unknown mode 'cloud'; choose mock, local, live", id="mode"),
        pytest.param({"agents": 1}, "agents is 1: a swarm has a whole number of agents from 2 to 200", id="too few"),
        pytest.param({"agents": "100000"}, "agents is '100000': .* from 2 to 200", id="too many"),
        pytest.param({"agents": 201}, "agents is 201: .* from 2 to 200", id="one too many"),
        pytest.param({"agents": "abc"}, "agents is 'abc': a swarm has a whole number", id="no number"),
        pytest.param({"agents": 2.5}, r"agents is 2\.5: a swarm has a whole number", id="half an agent"),
        pytest.param({"agents": True}, "agents is True: a swarm has a whole number", id="true"),
        pytest.param({"agent": 5}, "unknown key 'agent' in the spec; known keys: topology, name, agents", id="key"),
        pytest.param({"ticks": 0}, "ticks is 0: a replay has at least 1 tick", id="no ticks"),
        pytest.param({"seed": "x"}, "seed is 'x': the seed is a whole number", id="seed"),
        pytest.param({"pace": "-1"}, "pace is '-1': the pace is 0 or more", id="pace"),
        pytest.param({"pace": float("nan")}, "pace is nan: the pace is 0 or more", id="pace is nan"),
        pytest.param({"round_deadline": 0}, "round_deadline is 0: the deadline is more than 0", id="deadline"),
        pytest.param({"name": "My Swarm"}, "name is 'My Swarm': a name has 1 to 40", id="name"),
        pytest.param({"name": "-a"}, "name is '-a': a name has", id="name begins with a dash"),
        pytest.param({"name": "a\n"}, r"name is 'a\\n': a name has", id="name with a line end"),
        pytest.param({"name": "a" * 41}, "name is 'a{41}': a name has 1 to 40", id="long name"),
        pytest.param({"strategy": ""}, r"strategy is \(\): a swarm has at least one strategy", id="no strategy"),
        pytest.param({"symbols": ""}, r"symbols is \(\): a swarm trades at least one symbol", id="no symbol"),
        pytest.param({"symbols": 5}, "symbols is 5: ", id="symbols"),
        pytest.param({"account_sandboxes_max": 0}, "account_sandboxes_max is 0: ", id="account"),
        pytest.param({"agents": 1, "ticks": 0}, r"agents is 1: .* \(and 1 more\)$", id="two faults"),
    ],
)
def test_fault_is_answered_in_one_line(fields, reason):
    with pytest.raises(SpecError, match=f"^{reason}") as raised:
        spec_of(**fields)
    assert "\n" not in str(raised.value)


def test_missing_topology_is_asked_for():
    with pytest.raises(SpecError, match=r"^no topology was given; give --topology or set it in the spec file; choose"):
        make_spec({}, {})


def test_pace_is_finite():
    with pytest.raises(SpecError):
        spec_of(pace="inf")


def test_flag_wins_over_the_file_and_one_not_given_does_not():
    file = {"topology": "star", "agents": 7, "seed": 3}
    spec = make_spec(file, {"topology": "mesh", "agents": None, "seed": 0})
    assert (spec.topology, spec.agents, spec.seed) == (TopologyKind.MESH, 7, 0)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        pytest.param("AAPL,IBM", ("AAPL", "IBM"), id="text"),
        pytest.param(" AAPL , ,IBM, ", ("AAPL", "IBM"), id="text with blanks"),
        pytest.param(["AAPL", "IBM"], ("AAPL", "IBM"), id="list"),
        pytest.param("AAPL", ("AAPL",), id="one"),
        pytest.param(None, None, id="not given"),
    ],
)
def test_symbols_come_as_text_or_as_a_list(given, taken):
    assert spec_of(symbols=given).symbols == taken


def test_strategies_come_as_text_or_as_a_list():
    assert spec_of(strategy="momentum,mine.py").strategy == ("momentum", "mine.py")
    assert spec_of(strategy=["momentum", "mine.py"]).strategy == ("momentum", "mine.py")


def test_numbers_come_as_text_from_flags():
    spec = spec_of(agents="12", ticks="30", seed="-4", pace="0.5")
    assert (spec.agents, spec.ticks, spec.seed, spec.pace) == (12, 30, -4, 0.5)


def test_file_is_toml(tmp_path):
    path = tmp_path / "swarm.toml"
    path.write_text('topology = "ring"\nagents = 8\nsymbols = ["AAPL"]\n')
    assert make_spec(read_spec_file(path), {}).agents == 8


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(None, "does not exist; give the path of a TOML file", id="missing"),
        pytest.param(b"topology: ring", "is not TOML: ", id="YAML"),
        pytest.param(b"\xff\xfe", "cannot be read: ", id="binary"),
    ],
)
def test_file_that_cannot_be_read_is_named(tmp_path, content, reason):
    path = tmp_path / "swarm.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SpecError, match=f"^spec file .*swarm.toml {reason}"):
        read_spec_file(path)


def test_directory_is_no_spec_file(tmp_path):
    with pytest.raises(SpecError, match="cannot be read"):
        read_spec_file(tmp_path)
