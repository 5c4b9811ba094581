"""Who is taken for dead and when: one late heartbeat kills nobody, a true death is found in time."""

import pytest

from topologies.detector import Detector, DetectorSettings, PeerChange, PeerState

SETTINGS = DetectorSettings.paced(1.0)
ALIVE, SUSPECT, DEAD, LEFT = PeerState.ALIVE, PeerState.SUSPECT, PeerState.DEAD, PeerState.LEFT


class Watch:
    """A detector whose clock is looked at as often as it asks for, and what it said."""

    def __init__(self, *peers, settings=SETTINGS):
        self.now_s = 100.0
        self.detector = Detector(peers or ("b",), settings, now_s=self.now_s)
        self.changes = []

    def note(self, changes):
        self.changes += [(round(self.now_s - 100.0, 6), change.peer, change.state) for change in changes]

    def until(self, s, *, beats=(), every_s=None):
        """Let time pass up to `s`, looking at the clock; `beats`: who gives signs of life, at the usual interval."""
        step_s = every_s or self.detector.settings.check_s
        while self.now_s < 100.0 + s - 1e-9:
            self.now_s += step_s
            if round((self.now_s - 100.0) / step_s) % round(self.detector.settings.heartbeat_s / step_s) == 0:
                for peer in beats:
                    self.note(self.detector.heard(peer, 1, now_s=self.now_s))
            self.note(self.detector.check(self.now_s))


def test_settings_are_paced_as_a_whole():
    default = DetectorSettings()
    paced = DetectorSettings.paced(10 * default.heartbeat_s)
    assert (paced.dead_s_min, paced.dead_s_max, paced.cut_s, paced.check_s) == pytest.approx(
        (10 * default.dead_s_min, 10 * default.dead_s_max, 10 * default.cut_s, 10 * default.check_s)
    )


def test_peers_are_watched_in_order_each_once():
    assert Detector(("c", "b", "c"), SETTINGS, now_s=0.0).peers == ("b", "c")


def test_who_gives_signs_of_life_is_alive():
    watch = Watch("b", "c")
    watch.until(600, beats=["b", "c"])
    assert watch.changes == []
    assert watch.detector.state("b") is ALIVE


def test_who_falls_silent_is_suspected_and_then_dead_once():
    watch = Watch("b", "c")
    watch.until(20, beats=["b", "c"])
    watch.until(60, beats=["b"])
    assert [(peer, state) for _, peer, state in watch.changes] == [("c", SUSPECT), ("c", DEAD)]
    (_, died) = (at_s for at_s, _, _ in watch.changes)
    assert SETTINGS.dead_s_min <= died - 20 <= SETTINGS.dead_s_max + SETTINGS.check_s
    assert (watch.detector.is_dead("b"), watch.detector.is_dead("c")) == (False, True)


def test_who_never_gave_a_sign_is_dead_in_the_same_time():
    watch = Watch()
    watch.until(60)
    assert [state for _, _, state in watch.changes] == [SUSPECT, DEAD]
    assert watch.changes[-1][0] <= SETTINGS.dead_s_max + SETTINGS.check_s


@pytest.mark.parametrize("late_s", [0.5, 1.0, 2.0])
def test_one_late_heartbeat_kills_nobody(late_s):
    watch = Watch()
    watch.until(30, beats=["b"])
    watch.until(30 + 1.0 + late_s)
    watch.note(watch.detector.heard("b", 1, now_s=watch.now_s))
    watch.until(60 + late_s, beats=["b"])
    assert DEAD not in [state for _, _, state in watch.changes]
    assert watch.detector.state("b") is ALIVE


def test_suspicion_is_taken_back_by_a_sign_of_life():
    watch = Watch()
    watch.until(20, beats=["b"])
    watch.until(23)
    watch.note(watch.detector.heard("b", 1, now_s=watch.now_s))
    assert [state for _, _, state in watch.changes] == [SUSPECT, ALIVE]


@pytest.mark.parametrize("stall_s", [2.0, 30.0, 3600.0])
def test_who_could_not_run_itself_blames_nobody(stall_s):
    """The signs of life that came meanwhile wait to be read: they count from when they can be."""
    watch = Watch("b", "c")
    watch.until(20, beats=["b", "c"])
    watch.now_s += stall_s
    watch.note(watch.detector.check(watch.now_s))
    watch.until(20 + stall_s + 10, beats=["b", "c"])
    assert DEAD not in [state for _, _, state in watch.changes]


def test_death_during_a_stall_is_found_after_it():
    watch = Watch()
    watch.until(20, beats=["b"])
    watch.now_s += 100.0
    watch.until(120 + SETTINGS.dead_s_max + 1)
    assert [state for _, _, state in watch.changes] == [SUSPECT, DEAD]


def test_broken_connection_is_suspect_at_once_and_dead_soon():
    watch = Watch()
    watch.until(20, beats=["b"])
    watch.note(watch.detector.cut("b", watch.now_s))
    watch.note(watch.detector.cut("b", watch.now_s))
    watch.until(40)
    assert [(at_s - 20, state) for at_s, _, state in watch.changes] == [
        (0.0, SUSPECT),
        (pytest.approx(SETTINGS.cut_s, abs=SETTINGS.check_s), DEAD),
    ]


def test_connection_that_is_mended_soon_is_no_death():
    watch = Watch()
    watch.until(20, beats=["b"])
    watch.note(watch.detector.cut("b", watch.now_s))
    watch.until(21, beats=["b"])
    watch.until(40, beats=["b"])
    assert [state for _, _, state in watch.changes] == [SUSPECT, ALIVE]


def test_who_said_goodbye_is_neither_dead_nor_suspect():
    watch = Watch()
    watch.detector.left("b")
    watch.until(600)
    watch.note(watch.detector.cut("b", watch.now_s))
    watch.note(watch.detector.dead("b", 9))
    assert (watch.changes, watch.detector.state("b")) == ([], LEFT)


def test_word_of_a_death_is_believed_about_that_generation_only():
    watch = Watch()
    watch.detector.heard("b", 2, now_s=watch.now_s)
    assert watch.detector.dead("b", 1) == []
    assert watch.detector.dead("b", 2) == [PeerChange("b", DEAD, 2)]
    assert watch.detector.dead("b", 2) == []


def test_one_who_is_dead_comes_back_in_the_same_generation():
    """It was cut off or stopped: what it knows it still knows."""
    watch = Watch()
    watch.detector.heard("b", 1, now_s=watch.now_s)
    watch.detector.dead("b", 1)
    assert watch.detector.heard("b", 1, now_s=watch.now_s) == [PeerChange("b", ALIVE, 1)]


@pytest.mark.parametrize("is_known_dead", [True, False])
def test_next_generation_is_another_process(is_known_dead):
    watch = Watch()
    watch.detector.heard("b", 1, now_s=watch.now_s)
    if is_known_dead:
        watch.detector.dead("b", 1)
    assert watch.detector.heard("b", 2, now_s=watch.now_s) == [PeerChange("b", ALIVE, 2, is_new_generation=True)]
    assert watch.detector.heard("b", 2, now_s=watch.now_s) == []


def test_first_generation_heard_of_is_no_news():
    assert Watch().detector.heard("b", 3, now_s=100.0) == []


def test_sign_of_an_earlier_generation_counts_for_nothing():
    watch = Watch()
    watch.detector.heard("b", 2, now_s=watch.now_s)
    watch.until(30)
    assert watch.detector.heard("b", 1, now_s=watch.now_s) == []
    assert watch.detector.is_dead("b")


def test_long_silence_does_not_make_the_next_one_look_usual():
    """The interval across a death is no interval between heartbeats."""
    watch = Watch()
    watch.until(20, beats=["b"])
    watch.until(60)
    watch.note(watch.detector.heard("b", 1, now_s=watch.now_s))
    watch.until(60 + SETTINGS.dead_s_max + SETTINGS.check_s)
    assert [state for _, _, state in watch.changes] == [SUSPECT, DEAD, ALIVE, SUSPECT, DEAD]


@pytest.mark.parametrize("use", ["heard", "cut", "left", "dead"])
def test_agents_that_are_not_watched_are_ignored(use):
    detector = Watch().detector
    arguments = {"heard": (1,), "cut": (0.0,), "left": (), "dead": (1,)}[use]
    more = {"now_s": 0.0} if use == "heard" else {}
    assert not getattr(detector, use)("stranger", *arguments, **more)
    assert detector.state("stranger") is ALIVE
