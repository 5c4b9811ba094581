"""Whose word counts: an agent that is still opening its links cannot say whom it hears."""

from orchestrator.verdicts import Verdicts
from topologies.detector import PeerState


def test_one_of_two_watchers_is_enough_while_the_other_opens_its_links():
    verdicts = Verdicts({"spoke": frozenset({"hub", "deputy"})})
    with verdicts.joining("deputy"):
        assert verdicts.noticed("hub", "spoke", generation=0, state=PeerState.DEAD) == "1 of 1 neighbours hear nothing"
    assert verdicts.noticed("hub", "spoke", generation=0, state=PeerState.DEAD) == ""
