"""What an agent is told of its place, at the beginning and later; and the book of offices behind it."""

import pytest

from orchestrator.assignments import BEATS_PER_S_MAX, Assignments, detector_settings
from orchestrator.office_book import OfficeBook
from orchestrator.plan import make_plan
from orchestrator.spec import make_spec
from sandboxes.provider import Sandbox
from topologies.detector import DetectorSettings
from topologies.kinds import TopologyKind
from topologies.layouts import LayoutRequest, lay_out
from workers.network import Endpoint

TICKS = 30


def topology_of(kind, agents=5):
    names = tuple(f"a{number}" for number in range(agents))
    return lay_out(TopologyKind(kind), LayoutRequest(agents=names, strategies=("m",), symbols=("X", "Y")))


@pytest.fixture(scope="module")
def assignments():
    plan = make_plan(make_spec({}, {"topology": "star", "agents": 4, "ticks": TICKS, "mode": "mock", "seed": 7}))
    return Assignments(plan, "s", "secret", DetectorSettings.paced(1.0), OfficeBook(plan.topology))


@pytest.fixture
def sandboxes(assignments):
    return {
        agent: Sandbox(id=agent, agent=agent, generation=3, endpoint=Endpoint(f"memory://{agent}", {}), pid=None)
        for agent in assignments.plan.topology.agents
    }


def test_agent_is_told_who_it_is_and_where_its_neighbours_live(assignments, sandboxes):
    hub, deputy, spoke, _ = assignments.plan.topology.agents
    order = assignments.assign(spoke, sandboxes, rounds_over=0)
    assert (order.seat, order.generation, order.token, order.seed) == (
        assignments.plan.topology.seats[spoke],
        3,
        "secret",
        7,
    )
    assert [one.agent for one in order.neighbours] == [hub, deputy]
    assert [one.endpoint.url for one in order.neighbours] == [f"memory://{hub}", f"memory://{deputy}"]


def test_of_two_neighbours_one_dials(assignments, sandboxes):
    hub, deputy, *_ = assignments.plan.topology.agents
    one, other = assignments.neighbour(hub, sandboxes[deputy]), assignments.neighbour(deputy, sandboxes[hub])
    assert one.dials is not other.dials
    assert all([one.sends, one.hears, other.sends, other.hears])


def test_history_at_the_beginning_is_the_tape_s(assignments, sandboxes):
    order = assignments.assign(assignments.plan.topology.agents[0], sandboxes, rounds_over=0)
    assert order.history == dict(assignments.plan.tape.history)


@pytest.mark.parametrize("rounds_over", [1, 7, TICKS])
def test_later_history_ends_with_the_last_round_and_is_as_long(assignments, sandboxes, rounds_over):
    tape = assignments.plan.tape
    order = assignments.assign(assignments.plan.topology.agents[0], sandboxes, rounds_over=rounds_over)
    assert order.rounds_over == rounds_over
    for symbol, bars in order.history.items():
        played = [tick.bars[symbol] for tick in tape.ticks[:rounds_over]]
        assert bars == (*tape.history[symbol], *played)[-len(bars) :]
        assert len(bars) == max(1, len(tape.history[symbol]))
        assert bars[-1] == tape.ticks[rounds_over - 1].bars[symbol]


@pytest.mark.parametrize(("agents", "heartbeat_s_min"), [(5, 0.05), (5, 1.0), (100, 0.05), (200, 0.05)])
def test_signs_of_life_cost_no_more_than_a_swarm_can_afford(agents, heartbeat_s_min):
    topology = topology_of("star", agents)
    settings = detector_settings(topology, heartbeat_s_min=heartbeat_s_min)
    beats_per_s = sum(len(seat.watches) for seat in topology.seats.values()) / settings.heartbeat_s
    assert settings.heartbeat_s >= heartbeat_s_min
    assert beats_per_s <= BEATS_PER_S_MAX + 1e-6
    assert settings.heartbeat_s == heartbeat_s_min or beats_per_s == pytest.approx(BEATS_PER_S_MAX)


# ---- the book of offices


def test_token_once_passed_has_no_right_any_more():
    book = OfficeBook(topology_of("star"))
    assert [book.took_office("hub", token) for token in (1, 1, 2, 1, 2, 5, 4)] == [
        True,
        True,
        True,
        False,
        True,
        True,
        False,
    ]


def test_seats_are_told_the_tokens_of_today():
    book = OfficeBook(topology_of("hierarchical", 7))
    office = book.seat("a1").posts[1].office
    book.took_office(office.name, 4)
    assert [post.office.token for post in book.seat("a1").posts] == [1, 4]
    assert book.seat("a3").member_of.token == 4
    root = book.seat("a0").posts[0]
    assert [branch.office.token for branch in root.branches if branch.office is not None] == [4, 1]
    assert root.branches[1].office.holder == "a3"


@pytest.mark.parametrize("kind", ["mesh", "ring"])
def test_seats_without_offices_never_change(kind):
    topology = topology_of(kind)
    book = OfficeBook(topology)
    book.appoint("a0")
    assert all(book.seat(agent) == seat for agent, seat in topology.seats.items())


@pytest.mark.parametrize(
    ("took", "agent", "token"),
    [
        pytest.param(1, "a0", 3, id="the hub, whom nobody has succeeded"),
        pytest.param(2, "a0", 2, id="the hub, whom the deputy has succeeded"),
        pytest.param(2, "a1", 4, id="the deputy that holds the office"),
        pytest.param(1, "a1", 1, id="the deputy that does not"),
        pytest.param(1, "a3", 1, id="a spoke"),
    ],
)
def test_replaced_holder_is_appointed_under_a_token_its_former_self_never_had(took, agent, token):
    book = OfficeBook(topology_of("star"))
    book.took_office("hub", took)
    book.appoint(agent)
    assert book.seat("a0").posts[0].office.token == token
    assert book.took_office("hub", took) is (took == token)


@pytest.mark.parametrize(
    ("kind", "took", "absent", "entries"),
    [
        pytest.param("star", 1, "", ["a0"], id="the hub"),
        pytest.param("star", 2, "", ["a1"], id="whoever holds its office"),
        pytest.param("star", 1, "a0", [], id="nobody while there is no holder"),
        pytest.param("star", 2, "a0", ["a1"], id="the new hub"),
        pytest.param("mesh", 1, "a1 a3", ["a0", "a2", "a4"], id="all peers there are"),
        pytest.param("ring", 1, "", ["a0"], id="the data stage"),
        pytest.param("ring", 1, "a0", ["a1"], id="the one after it"),
        pytest.param("ring", 1, "a0 a1 a2 a3 a4", [], id="nobody at all"),
    ],
)
def test_tick_goes_to_who_is_there(kind, took, absent, entries):
    book = OfficeBook(topology_of(kind))
    book.took_office("hub", took)
    assert list(book.entries(set(absent.split()))) == entries
