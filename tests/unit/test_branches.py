"""Whom the holder of an office gives work to, and what each of them has missed."""

import pytest
from fixed_desk import FixedDesk, make_tick
from offices_at_hand import GROUP, ROOT, result, sent

from topologies.branches import CATCH_UP_TICKS, Branches
from topologies.kinds import DistributionStrategy, Role
from topologies.messages import Claim
from topologies.rounds import create_round
from topologies.seats import Branch, DelegationSeat, Office, Post

OTHER = Office("other", ("c", "v1"), ("c", "v1", "v2"))
POST = Post(
    ROOT, (Branch("r", {}), Branch("l", {"momentum": 2}, GROUP), Branch("c", {"momentum": 2}, OTHER)), None, 2.0
)


def branches(*dead):
    return Branches(POST, "r", is_dead=set(dead).__contains__)


def root():
    seat = DelegationSeat("r", Role.LEADER, (), ROOT, (POST,), DistributionStrategy.ROUND_ROBIN, ("l", "c", "w1", "v1"))
    return create_round(seat, FixedDesk("r"))


def told_rounds(kept, branch, round):
    return [tick.round for tick in kept.tell(branch, make_tick(round))]


def test_leader_speaks_for_its_branch_until_somebody_else_claims_it():
    kept = branches()
    assert [kept.speaker(branch) for branch in "rlc"] == ["r", "l", "c"]
    kept.follow(Claim("group", 2), "w1")
    assert [kept.speaker(branch) for branch in "rlc"] == ["r", "w1", "c"]
    assert (kept.of("w1"), kept.of("l")) == (["l"], [])


@pytest.mark.parametrize(
    ("claims", "speaker"),
    [
        pytest.param([(2, "w1"), (3, "l")], "l", id="in order"),
        pytest.param([(3, "l"), (2, "w1")], "l", id="the older one later"),
        pytest.param([(1, "l")], "l", id="the first again"),
    ],
)
def test_newest_claim_counts(claims, speaker):
    kept = branches()
    for token, sender in claims:
        kept.follow(Claim("group", token), sender)
    assert kept.speaker("l") == speaker


def test_claim_of_an_office_below_nobody_here_changes_nothing():
    kept = branches()
    kept.follow(Claim("elsewhere", 9), "x")
    assert [kept.speaker(branch) for branch in "rlc"] == ["r", "l", "c"]


def test_branch_is_within_reach_as_long_as_its_speaker_is():
    kept = branches("l")
    assert [branch.agent for branch in kept.within_reach()] == ["r", "c"]
    kept.follow(Claim("group", 2), "w1")
    assert [branch.agent for branch in kept.within_reach()] == ["r", "l", "c"]


def test_all_who_may_come_to_speak_are_to_know_who_leads():
    assert branches().everybody() == {"r", "l", "w1", "c", "v1"}


def test_branch_is_told_what_it_was_not_told_before():
    kept = branches()
    for round in (1, 2, 3, 4):
        kept.saw(make_tick(round))
        if round != 3:
            told_rounds(kept, "l", round)
    assert told_rounds(kept, "l", 5) == []
    assert told_rounds(kept, "c", 5) == [1, 2, 3, 4]
    assert told_rounds(kept, "c", 5) == []


def test_new_speaker_is_told_everything_anew():
    kept = branches()
    for round in (1, 2):
        kept.saw(make_tick(round))
        told_rounds(kept, "l", round)
    kept.follow(Claim("group", 2), "w1")
    assert told_rounds(kept, "l", 3) == [1, 2]


def test_only_the_latest_ticks_are_kept():
    kept = branches()
    for round in range(1, CATCH_UP_TICKS + 4):
        kept.saw(make_tick(round))
    assert told_rounds(kept, "l", CATCH_UP_TICKS + 4) == list(range(4, CATCH_UP_TICKS + 4))


def test_tick_seen_twice_is_kept_once():
    kept = branches()
    for round in (1, 2, 2, 1):
        kept.saw(make_tick(round))
    assert told_rounds(kept, "l", 3) == [1, 2]


def test_root_gives_a_branch_s_tasks_to_its_new_leader():
    machine = root()
    first = sent(machine.on_tick(make_tick(1, "X", "Y")))
    assert set(first) == {"l", "c"}
    machine.on_peer("l", is_alive=False)
    machine.on_message("w1", Claim("group", 2))
    again = sent(machine.on_tick(make_tick(1, "X", "Y", attempt=2)))
    assert set(again) == {"w1", "c"}
    assert sorted(task.key for work in again.values() for task in work.tasks) == ["1/X/momentum", "1/Y/momentum"]


def test_root_gives_the_open_tasks_of_a_dead_branch_to_another():
    machine = root()
    first = sent(machine.on_tick(make_tick(1, "X", "Y")))
    again = sent(machine.on_peer("l", is_alive=False))
    assert {to: work.tasks for to, work in again.items()} == {"c": first["l"].tasks}
    (report,) = machine.on_message("c", result("c", "X", "Y", office="root"))
    assert len(report.decisions) == 2
