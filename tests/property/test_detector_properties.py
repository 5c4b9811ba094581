"""Whatever the intervals of the heartbeats: verdicts stay within their bounds, and only silence makes the dead."""

from hypothesis import given, settings
from hypothesis import strategies as st

from topologies.detector import Detector, DetectorSettings, PeerState

SETTINGS = DetectorSettings.paced(1.0)
STEP_S = SETTINGS.check_s
jitters = st.lists(st.floats(0.0, 0.7), min_size=1, max_size=60)


def checks(detector, now_s, until_s):
    """Look at the clock as often as the detector asks for; yield (when, change)."""
    while now_s + STEP_S <= until_s:
        now_s += STEP_S
        for change in detector.check(now_s):
            yield now_s, change


def beat(detector, gaps_s, now_s=0.0):
    """Hear of b after each gap; return the time and all changes."""
    changes = []
    for gap_s in gaps_s:
        changes += checks(detector, now_s, now_s + gap_s)
        now_s += gap_s
        changes += [(now_s, change) for change in [*detector.heard("b", 1, now_s=now_s), *detector.check(now_s)]]
    return now_s, changes


@settings(deadline=None)
@given(gaps_s=st.lists(st.floats(0.01, SETTINGS.dead_s_min - STEP_S), min_size=1, max_size=80))
def test_nobody_is_dead_within_the_shortest_time(gaps_s):
    _, changes = beat(Detector(["b"], SETTINGS, now_s=0.0), gaps_s)
    assert PeerState.DEAD not in [change.state for _, change in changes]


@settings(deadline=None)
@given(late_s=jitters)
def test_heartbeats_up_to_seven_tenths_late_are_not_even_suspect(late_s):
    _, changes = beat(Detector(["b"], SETTINGS, now_s=0.0), [1.0 + late for late in late_s])
    assert changes == []


@settings(deadline=None)
@given(gaps_s=st.lists(st.floats(0.01, 20.0), max_size=60))
def test_true_death_is_found_within_the_longest_time_whatever_was_before(gaps_s):
    detector = Detector(["b"], SETTINGS, now_s=0.0)
    died_s, _ = beat(detector, gaps_s)
    found = list(checks(detector, died_s, died_s + SETTINGS.dead_s_max + 2 * STEP_S))
    assert [change.state for _, change in found][-1] is PeerState.DEAD
    assert found[-1][0] - died_s <= SETTINGS.dead_s_max + 2 * STEP_S


@settings(deadline=None)
@given(gaps_s=st.lists(st.floats(0.01, 20.0), max_size=40), stall_s=st.floats(1.5, 1e6))
def test_own_stall_is_no_silence_of_others(gaps_s, stall_s):
    detector = Detector(["b"], SETTINGS, now_s=0.0)
    now_s, _ = beat(detector, [*gaps_s, 1.0])
    assert PeerState.DEAD not in [change.state for change in detector.check(now_s + stall_s)]
    assert not detector.is_dead("b")


events = st.lists(
    st.one_of(
        st.tuples(st.just("heard"), st.integers(1, 4)),
        st.tuples(st.just("dead"), st.integers(1, 4)),
        st.tuples(st.just("cut"), st.just(0)),
        st.tuples(st.just("wait"), st.integers(1, 12)),
    ),
    max_size=60,
)


@settings(deadline=None)
@given(events=events)
def test_changes_tell_the_whole_story_and_generations_never_go_back(events):
    """Whoever listens to the changes alone knows the state, and hears of each new process once."""
    detector, now_s = Detector(["b"], SETTINGS, now_s=0.0), 0.0
    told, generation, births = PeerState.ALIVE, 0, 0
    highest = 0
    for event, number in events:
        changes = []
        match event:
            case "heard":
                changes = detector.heard("b", number, now_s=now_s)
                births += highest and number > highest
                highest = max(highest, number)
            case "dead":
                changes = detector.dead("b", number)
            case "cut":
                changes = detector.cut("b", now_s)
            case "wait":
                changes = [change for _, change in checks(detector, now_s, now_s + number * STEP_S)]
                now_s += number * STEP_S
        for change in changes:
            assert change.state is not told or change.is_new_generation
            assert change.generation >= generation
            told, generation = change.state, change.generation
            births -= change.is_new_generation
    assert told is detector.state("b")
    assert births == 0
