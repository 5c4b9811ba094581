"""One agent of a ring: it does its stages in order and hands the item on, past whoever is dead."""

import math

import pytest
from fixed_desk import FixedDesk, make_tick, vote

from topologies.charter import Charter
from topologies.kinds import Role
from topologies.messages import Item, Join, LaneDone
from topologies.round import Report, Send
from topologies.rounds import create_round
from topologies.seats import Lane, RingSeat
from topologies.stages import WAITING_MAX, RingOverflow, fuse, signal
from topologies.way import CATCH_UP_TICKS, KEPT_MAX, Way

MOMENTUM = (("momentum", "X"),)
LANE = Lane(("d", "s", "r", "e"), ("X",), ((), MOMENTUM, (), ()))
OTHER = Lane(("d2", "s2", "r2", "e2"), ("Y",), ((), (("momentum", "Y"),), (), ()))
RING = (*LANE.agents, *OTHER.agents)


def stage(agent, *, desk=None, lanes=(LANE, OTHER), in_flight_max=2, rounds_over=0):
    ring = [name for lane in lanes for name in lane.agents]
    place = ring.index(agent)
    following = tuple(dict.fromkeys(ring[(place + step) % len(ring)] for step in (1, 2) if len(ring) > step))
    lane = next(number for number, lane in enumerate(lanes) if agent in lane.agents)
    seat = RingSeat(agent, Role.STAGE, ("momentum",), lane, following, lanes, in_flight_max, following)
    return create_round(seat, desk or FixedDesk(agent), rounds_over=rounds_over)


def item(round=1, votes=(), decisions=(), *, lane=0, attempt=1, earlier=()):
    ticks = tuple(make_tick(number) for number in earlier)
    return Item(make_tick(round, attempt=attempt), lane, bool(decisions), votes, decisions, ticks)


def momentum(agent, round=1):
    return vote(agent, f"{round}/X/momentum")


def decided(round=1):
    return fuse(item(round, (momentum("s", round),)), LANE, charter=Charter()).decisions


def admitted(actions):
    return [action.message.tick.round for action in actions]


def lose(machine, *agents):
    return [action for agent in agents for action in machine.on_peer(agent, is_alive=False)]


def test_data_stage_hands_on_the_tick():
    assert stage("d").on_tick(make_tick(1)) == [Send("s", item())]


def test_signal_stage_adds_the_votes_on_its_tasks():
    desk = FixedDesk("s")
    earlier = vote("b", "1/X/mine")
    (sent,) = stage("s", desk=desk).on_message("d", item(votes=(earlier,)))
    assert sent == Send("r", item(votes=(earlier, momentum("s"))))
    assert (desk.fed, desk.worked) == ([1], ["1/X/momentum"])


def test_signal_stage_leaves_out_a_symbol_without_a_bar():
    lane = Lane(LANE.agents, ("X", "Y"), ((), (("momentum", "Y"),), (), ()))
    (sent,) = stage("s", lanes=(lane,)).on_message("d", item())
    assert sent.message.votes == ()


def test_risk_stage_fuses_the_votes_of_each_symbol():
    (sent,) = stage("r").on_message("s", item(votes=(vote("s", "1/X/momentum", target=0.5),)))
    assert [(one.symbol, one.target) for one in sent.message.decisions] == [("X", 0.5)]
    assert (sent.message.votes, sent.message.risk_done) == ((), True)


@pytest.mark.parametrize("target", [math.nan, math.inf, -math.inf, 1.5, -1.1])
def test_risk_stage_gives_no_say_to_a_vote_out_of_range(target):
    votes = (vote("b", "1/X/momentum", target=target), vote("c", "1/X/n", target=-0.5, confidence=0.1))
    (sent,) = stage("r").on_message("s", item(votes=votes))
    (decision,) = sent.message.decisions
    assert (decision.target, [vote.agent for vote in decision.votes]) == (-0.5, ["c"])


def test_execution_stage_reports_and_tells_the_next_lane():
    actions = stage("e").on_message("r", item(decisions=decided()))
    assert actions == [Report(1, decided()), Send("d2", LaneDone(1, 0))]


def test_lane_of_one_does_all_stages_itself():
    lane = Lane(("a",), ("X",), (MOMENTUM,))
    report, done = stage("a", lanes=(lane, OTHER)).on_tick(make_tick(1))
    assert [(one.symbol, one.target) for one in report.decisions] == [("X", 1.0)]
    assert done == Send("d2", LaneDone(1, 0))


def test_data_stage_holds_back_what_the_lane_before_is_not_ready_for():
    data = stage("d", in_flight_max=2)
    assert [admitted(data.on_tick(make_tick(round))) for round in (1, 2, 3, 4, 5)] == [[1], [2], [], [], []]
    assert admitted(data.on_message("e2", LaneDone(1, 1))) == [3]
    assert admitted(data.on_message("e2", LaneDone(1, 1))) == []
    assert admitted(data.on_message("e2", LaneDone(3, 1))) == [4, 5]


def test_data_stage_that_begins_later_admits_what_follows_the_rounds_over():
    data = stage("d", in_flight_max=2, rounds_over=40)
    assert [admitted(data.on_tick(make_tick(round))) for round in (41, 42, 43)] == [[41], [42], []]


def test_lane_done_that_comes_late_takes_nothing_back():
    data = stage("d", in_flight_max=2)
    data.on_message("e2", LaneDone(5, 1))
    data.on_message("e2", LaneDone(4, 1))
    assert admitted(data.on_tick(make_tick(7))) == [7]


def test_ticks_that_wait_are_bounded():
    data = stage("d", in_flight_max=0)
    for round in range(1, WAITING_MAX + 1):
        assert data.on_tick(make_tick(round)) == []
    with pytest.raises(RingOverflow, match=f"{WAITING_MAX} ticks wait .* round {WAITING_MAX + 1} does not fit"):
        data.on_tick(make_tick(WAITING_MAX + 1))


def test_ring_has_no_use_for_timers_and_other_messages():
    assert stage("d").on_timer(1, "") == stage("d").on_check() == []
    assert stage("d").on_message("e2", Join("e2", "stage", "r")) == []


# ---- attempts


@pytest.mark.parametrize("agent", ["d", "s", "r", "e"])
def test_item_that_comes_twice_is_handed_on_once(agent):
    desk = FixedDesk(agent)
    machine = stage(agent, desk=desk)
    first = machine.on_message("before", item(votes=(momentum("s"),) if agent in "re" else ()))
    assert first
    assert machine.on_message("another", item()) == []
    assert len(desk.worked) <= 1


@pytest.mark.parametrize("agent", ["d", "s", "r", "e"])
def test_next_attempt_at_a_round_goes_all_the_way_again_and_an_older_one_nowhere(agent):
    machine = stage(agent)
    machine.on_message("before", item())
    assert machine.on_message("before", item(attempt=3))
    assert machine.on_message("before", item(attempt=2)) == []


def test_next_attempt_is_not_held_back_at_the_data_stage():
    data = stage("d", in_flight_max=0)
    assert data.on_tick(make_tick(1)) == []
    assert data.on_tick(make_tick(1, attempt=2)) == [Send("s", item(attempt=2))]
    assert data.on_message("e2", LaneDone(1, 1)) == []  # the first attempt has nothing to add


def test_rounds_that_were_over_before_an_agent_came_are_none_of_its_business():
    assert stage("s", rounds_over=3).on_message("d", item(3)) == []
    assert stage("s", rounds_over=3).on_message("d", item(4))


# ---- the dead are passed by


@pytest.mark.parametrize(
    ("agent", "dead", "to"),
    [("d", "s", "r"), ("s", "r", "e"), ("r", "e", "d2"), ("e", "d2", "s2")],
)
def test_one_that_is_dead_is_passed_by_at_each_stage(agent, dead, to):
    machine = stage(agent)
    lose(machine, dead)
    sent = [action for action in machine.on_message("before", item()) if isinstance(action, Send)]
    assert [action.to for action in sent] == [to]
    machine.on_peer(dead, is_alive=True)
    assert [action.to for action in machine.on_message("before", item(2)) if isinstance(action, Send)] == [dead]


def test_what_was_handed_to_the_dead_lately_is_handed_to_the_next_once():
    data = stage("d", in_flight_max=99)
    for round in range(1, KEPT_MAX + 3):
        data.on_tick(make_tick(round))
    again = lose(data, "s")
    assert again[0] == Send("r", item(3, earlier=(1, 2)))  # with what went past it before
    assert again[1:] == [Send("r", item(round)) for round in range(4, KEPT_MAX + 3)]
    assert lose(data, "s") == []


def test_death_of_one_who_is_not_next_sends_nothing():
    data = stage("d")
    data.on_tick(make_tick(1))
    assert lose(data, "r") == []


def test_who_is_passed_to_does_what_the_item_lacks_up_to_its_own_place():
    desk = FixedDesk("r")
    (sent,) = stage("r", desk=desk).on_message("d", item())
    assert desk.worked == ["1/X/momentum"]
    assert [vote.agent for decision in sent.message.decisions for vote in decision.votes] == ["r"]


def test_execution_stage_fuses_for_a_dead_risk_stage():
    (report, _) = stage("e").on_message("s", item(votes=(momentum("s"),)))
    assert report == Report(1, decided())


def test_data_stage_of_the_next_lane_executes_for_a_dead_execution_stage():
    data = stage("d2", in_flight_max=0)
    assert data.on_tick(make_tick(1)) == []
    actions = data.on_message("r", item(decisions=decided()))
    assert actions[0] == Report(1, decided())
    assert [(type(action.message), action.message.lane) for action in actions[1:]] == [(Item, 1)]  # and is let go on


@pytest.mark.parametrize("stages", [1, 2])
def test_in_a_ring_of_one_lane_the_item_wraps_to_its_own_data_stage(stages):
    data, sender = stage("d", lanes=(LANE,)), LANE.agents[-stages - 1]
    data.on_tick(make_tick(1))
    (report, *_) = data.on_message(sender, item(votes=(momentum("s"),)))
    assert report == Report(1, decided())


def test_wrapped_item_is_executed_once():
    data = stage("d2")
    assert reports(data.on_message("r", item(decisions=decided())))
    assert data.on_message("r", item(decisions=decided())) == []


def test_agent_with_nobody_left_within_reach_does_all_itself():
    risk = stage("r")
    assert lose(risk, "e", "d2") == []
    actions = risk.on_message("s", item(votes=(momentum("s"),)))
    assert reports(actions) == [Report(1, decided())]


def test_two_agents_close_the_ring_when_one_is_dead():
    pair = Lane(("a", "b"), ("X",), (MOMENTUM, ()))
    first = stage("a", lanes=(pair,))
    first.on_tick(make_tick(1))
    actions = lose(first, "b")
    assert [report.round for report in reports(actions)] == [1]
    assert [report.round for report in reports(first.on_tick(make_tick(2)))] == [2]


def reports(actions):
    return [action for action in actions if isinstance(action, Report)]


@pytest.mark.parametrize(
    ("agent", "dead", "duties"),
    [
        ("e", "", ["end of lane 0"]),
        ("r", "", []),
        ("d2", "", []),
        ("d2", "e", ["end of lane 0"]),
    ],
)
def test_end_of_a_lane_is_one_agent_s_duty(agent, dead, duties):
    machine = stage(agent)
    lose(machine, *dead)
    assert machine.duties() == duties


def test_tasks_are_run_up_to_a_place_and_not_again():
    desk = FixedDesk("x")
    lane = Lane(("p", "q", "r", "e"), ("X",), ((("a", "X"),), (("b", "X"),), (("c", "X"),), ()))
    half = signal(item(), lane, up_to=1, desk=desk)
    assert desk.worked == ["1/X/a", "1/X/b"]
    signal(half, lane, up_to=4, desk=desk)
    assert desk.worked == ["1/X/a", "1/X/b", "1/X/c"]
    assert signal(item(decisions=decided()), lane, up_to=4, desk=desk) == item(decisions=decided())


# ---- who was passed by


def test_who_was_passed_by_is_told_what_went_past_it():
    data = stage("d", in_flight_max=99)
    lose(data, "s")
    for round in (1, 2):
        data.on_tick(make_tick(round))
    data.on_peer("s", is_alive=True)
    assert data.on_tick(make_tick(3)) == [Send("s", item(3, earlier=(1, 2)))]
    assert data.on_tick(make_tick(4)) == [Send("s", item(4))]


def test_ticks_that_went_past_are_fed_before_the_one_that_came():
    desk = FixedDesk("s")
    stage("s", desk=desk).on_message("d", item(3, earlier=(1, 2)))
    assert (desk.fed, desk.worked) == ([1, 2, 3], ["3/X/momentum"])


def test_only_the_latest_ticks_are_told_of():
    way = Way(("s", "r"), now_s=lambda: 0.0, is_suspect=lambda agent: False)
    for round in range(1, CATCH_UP_TICKS + 3):
        way.tell("r", make_tick(round))
    told = way.tell("s", make_tick(CATCH_UP_TICKS + 3))
    assert [tick.round for tick in told] == list(range(4, CATCH_UP_TICKS + 3))
