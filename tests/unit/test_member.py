"""One agent's beliefs and its rules together: what it believes moves its rules once, and is told to the coordinator."""

from fixed_desk import FixedDesk, make_tick
from offices_at_hand import star_office

from topologies.detector import DetectorSettings, PeerState
from topologies.kinds import DistributionStrategy, Role
from topologies.member import Member
from topologies.messages import Canvass, Leave
from topologies.round import Noticed, Send
from topologies.seats import Branch, DelegationSeat, Post

SETTINGS = DetectorSettings.paced(1.0)
OFFICE = star_office("s1", "s2", "s3")
BRANCHES = (Branch("h", {}), *(Branch(spoke, {"momentum": 1}) for spoke in ("s1", "s2", "s3")))


def deputy():
    """Make the deputy of a star, who has heard of everybody at time 0."""
    posts = (Post(OFFICE, BRANCHES, None, 2.0),)
    seat = DelegationSeat(
        "s1",
        Role.SPOKE,
        ("momentum",),
        OFFICE,
        posts,
        DistributionStrategy.LEAST_LOADED,
        ("h", "s2", "s3"),
    )
    member = Member(seat, FixedDesk("s1"), settings=SETTINGS, now_s=0.0)
    for peer in seat.watches:
        assert member.on_sign(peer, 1, now_s=0.0) == []
    return member


def check_until(member, until_s, *, alive=("s2", "s3")):
    """Look at the clock as often as asked; return what was done, and when first."""
    done, first_s, now_s = [], None, 0.0
    while now_s < until_s:
        now_s += SETTINGS.check_s
        for peer in alive:
            done += member.on_sign(peer, 1, now_s=now_s)
        done += member.check(now_s)
        first_s = now_s if done and first_s is None else first_s
    return done, first_s


def test_silence_of_the_hub_makes_its_deputy_stand():
    done, first_s = check_until(deputy(), SETTINGS.dead_s_max + 1)
    assert done[:3] == [
        Noticed("h", 1, PeerState.DEAD),
        Send("s2", Canvass("hub", 2)),
        Send("s3", Canvass("hub", 2)),
    ]
    assert SETTINGS.dead_s_min <= first_s <= SETTINGS.dead_s_max + SETTINGS.check_s


def test_suspicion_alone_moves_nothing():
    assert deputy().on_cut("h", 0.0) == []


def test_word_of_the_coordinator_moves_the_rules_at_once_and_only_once():
    member = deputy()
    assert member.on_death("h", 1)[0] == Noticed("h", 1, PeerState.DEAD)
    assert member.on_death("h", 1) == []
    noticed = [action for action in check_until(member, 20)[0] if isinstance(action, Noticed)]
    assert noticed == []


def test_candidacy_that_came_to_nothing_is_taken_up_again():
    member = deputy()
    member.on_death("h", 1)
    again, _ = check_until(member, 20)
    assert set(again) == {Send("s2", Canvass("hub", 2)), Send("s3", Canvass("hub", 2))}


def test_one_who_comes_back_is_told_of_and_taken_in():
    member = deputy()
    member.on_death("s2", 1)
    assert member.on_sign("s2", 1, now_s=0.1) == [Noticed("s2", 1, PeerState.ALIVE)]
    assert member.on_sign("s2", 1, now_s=0.2) == []


def test_next_process_of_one_nobody_missed_counts_as_dead_and_alive_again():
    """What it was given it knows nothing of: that is asked of others, or of it anew."""
    member = deputy()
    token = 2
    asked = member.on_sign("h", 2, now_s=0.1)
    assert [action for action in asked if isinstance(action, Noticed)] == [Noticed("h", 2, PeerState.ALIVE)]
    assert Send("s2", Canvass("hub", token)) in asked


def test_one_who_said_goodbye_is_not_missed():
    member = deputy()
    member.on_message("h", Leave("h", 1))
    assert check_until(member, 60)[0] == []


def test_deadline_of_an_office_reaches_its_rules():
    member = deputy()
    assert member.on_timer(1, "hub") == member.on_tick(make_tick(1)) == member.duties() == []
