"""One agent of a ring: it admits a bounded number of rounds, does its stages in order and hands the item on."""

import math

import pytest
from fixed_desk import FixedDesk, make_tick, vote

from topologies.kinds import STAGE_ORDER, Role, Stage
from topologies.messages import Item, Join, LaneDone
from topologies.round import Report, Send
from topologies.rounds import create_round
from topologies.rounds.ring import WAITING_MAX, RingOverflow
from topologies.seats import RingSeat


def stage(*stages, desk=None, tasks=(("momentum", "X"),), in_flight_max=2):
    seat = RingSeat("a", Role.STAGE, ("momentum",), 3, stages, "next", tasks, ("X",), in_flight_max)
    return create_round(seat, desk or FixedDesk("a"))


def item(round=1, votes=(), decisions=()):
    return Item(make_tick(round), 3, votes, decisions)


def admitted(actions):
    return [action.message.tick.round for action in actions]


def test_data_stage_hands_on_the_tick():
    assert stage(Stage.DATA).on_tick(make_tick(1)) == [Send("next", item())]


def test_signal_stage_adds_the_votes_on_its_tasks():
    desk = FixedDesk("a")
    earlier = vote("b", "1/X/mine")
    (sent,) = stage(Stage.SIGNAL, desk=desk).on_message("before", item(votes=(earlier,)))
    assert sent.message.votes == (earlier, vote("a", "1/X/momentum"))
    assert (desk.fed, desk.worked) == ([1], ["1/X/momentum"])


def test_signal_stage_leaves_out_a_symbol_without_a_bar():
    (sent,) = stage(Stage.SIGNAL, tasks=(("momentum", "Y"),)).on_message("before", item())
    assert sent.message.votes == ()


def test_risk_stage_fuses_the_votes_of_each_symbol():
    (sent,) = stage(Stage.RISK).on_message("before", item(votes=(vote("b", "1/X/m", target=0.5),)))
    assert [(one.symbol, one.target) for one in sent.message.decisions] == [("X", 0.5)]
    assert sent.message.votes == ()


@pytest.mark.parametrize("target", [math.nan, math.inf, -math.inf, 1.5, -1.1])
def test_risk_stage_gives_no_say_to_a_vote_out_of_range(target):
    votes = (vote("b", "1/X/m", target=target), vote("c", "1/X/n", target=-0.5, confidence=0.1))
    (sent,) = stage(Stage.RISK).on_message("before", item(votes=votes))
    (decision,) = sent.message.decisions
    assert (decision.target, [vote.agent for vote in decision.votes]) == (-0.5, ["c"])


def test_execution_stage_reports_and_tells_the_next_lane():
    decided = stage(Stage.RISK).on_message("before", item())[0].message.decisions
    actions = stage(Stage.EXECUTION).on_message("before", item(decisions=decided))
    assert actions == [Report(1, decided), Send("next", LaneDone(1, 3))]


def test_lane_of_one_does_all_stages_itself():
    report, done = stage(*STAGE_ORDER).on_tick(make_tick(1))
    assert [(one.symbol, one.target) for one in report.decisions] == [("X", 1.0)]
    assert done == Send("next", LaneDone(1, 3))


def test_data_stage_holds_back_what_the_lane_before_is_not_ready_for():
    data = stage(Stage.DATA, in_flight_max=2)
    assert [admitted(data.on_tick(make_tick(round))) for round in (1, 2, 3, 4, 5)] == [[1], [2], [], [], []]
    assert admitted(data.on_message("before", LaneDone(1, 2))) == [3]
    assert admitted(data.on_message("before", LaneDone(1, 2))) == []
    assert admitted(data.on_message("before", LaneDone(3, 2))) == [4, 5]


def test_lane_done_that_comes_late_takes_nothing_back():
    data = stage(Stage.DATA, in_flight_max=2)
    data.on_message("before", LaneDone(5, 2))
    data.on_message("before", LaneDone(4, 2))
    assert admitted(data.on_tick(make_tick(7))) == [7]


def test_ticks_that_wait_are_bounded():
    data = stage(Stage.DATA, in_flight_max=0)
    for round in range(1, WAITING_MAX + 1):
        assert data.on_tick(make_tick(round)) == []
    with pytest.raises(RingOverflow, match=f"{WAITING_MAX} ticks wait at a; round {WAITING_MAX + 1} does not fit"):
        data.on_tick(make_tick(WAITING_MAX + 1))


def test_ring_has_no_use_for_timers_and_other_messages():
    assert stage(Stage.DATA).on_timer(1) == []
    assert stage(Stage.DATA).on_message("before", Join("before", "stage", "r")) == []
