"""The way on in a ring: hops that fail are left alone for a while, and nobody misses a tick for it."""

from fixed_desk import make_tick

from topologies.breaker import BreakerState
from topologies.messages import LaneDone
from topologies.way import CHECKS_UNTIL_SETTLED, Way


class Surroundings:
    def __init__(self):
        self.now_s = 0.0
        self.suspects = set()
        self.way = Way(("next", "after"), now_s=lambda: self.now_s, is_suspect=self.suspects.__contains__)

    def hand_over(self, *, suspect=False):
        chosen = self.way.choose()
        self.suspects = self.suspects | {"next"} if suspect else self.suspects - {"next"}
        self.way._is_suspect = self.suspects.__contains__
        for _ in range(CHECKS_UNTIL_SETTLED):
            self.way.check()
        self.now_s += 0.1
        return chosen


def test_next_is_chosen_as_long_as_it_lives():
    around = Surroundings()
    assert [around.hand_over() for _ in range(10)] == ["next"] * 10
    assert around.way.state("next") is BreakerState.CLOSED


def test_hop_that_fails_too_often_is_passed_by_and_tried_again_with_care():
    around = Surroundings()
    assert [around.hand_over(suspect=True) for _ in range(5)] == ["next"] * 5
    assert around.way.state("next") is BreakerState.OPEN
    assert around.hand_over() == "after"
    around.now_s += 2.0
    assert around.way.state("next") is BreakerState.HALF_OPEN
    assert [around.hand_over(), around.hand_over()] == ["next", "next"]
    assert around.way.state("next") is BreakerState.CLOSED


def test_probe_that_fails_opens_the_hop_for_longer():
    around = Surroundings()
    for _ in range(5):
        around.hand_over(suspect=True)
    around.now_s += 2.0
    assert around.hand_over(suspect=True) == "next"
    around.now_s += 2.0
    assert around.way.state("next") is BreakerState.OPEN
    around.now_s += 2.0
    assert around.way.state("next") is BreakerState.HALF_OPEN


def test_one_suspicion_passes_nobody_by():
    around = Surroundings()
    around.hand_over(suspect=True)
    assert around.hand_over() == "next"


def test_the_dead_are_passed_by_whatever_the_breaker_says():
    around = Surroundings()
    around.way.keep(LaneDone(1, 0))
    assert around.way.lose("next") == (LaneDone(1, 0),)
    assert around.way.choose() == "after"
    assert around.way.lose("after") == (LaneDone(1, 0),)
    assert around.way.choose() == ""
    around.way.regain("next")
    assert around.way.choose() == "next"


def test_who_was_passed_by_is_told_what_went_past_it():
    way = Surroundings().way
    for round in (1, 2):
        assert way.tell("next", make_tick(round)) == ()
    assert [tick.round for tick in way.tell("after", make_tick(3))] == [1, 2]
    assert [tick.round for tick in way.tell("next", make_tick(5))] == [3]


def test_new_process_is_not_blamed_for_the_former():
    around = Surroundings()
    for _ in range(5):
        around.hand_over(suspect=True)
    around.way.lose("next")
    around.way.regain("next")
    assert around.way.state("next") is BreakerState.CLOSED
    assert around.hand_over() == "next"
