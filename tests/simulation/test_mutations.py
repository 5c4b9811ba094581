"""A build that is broken on purpose is caught: for each invariant one, within 200 seeds.

That is what a clean campaign is worth: an invariant that no bug can violate proves nothing.
"""

import pytest

from orchestrator.ledger import RoundLedger
from orchestrator.office_book import OfficeBook
from orchestrator.simulation import invariants
from orchestrator.simulation.engine import HeapEngine
from orchestrator.simulation.faults import PRESETS
from orchestrator.simulation.invariants import Invariant
from orchestrator.simulation.world import Case, World
from orchestrator.verdicts import Verdicts
from topologies import leading
from topologies.detector import Detector, PeerState
from topologies.kinds import TopologyKind
from topologies.rounds import mesh
from topologies.rounds.mesh import MeshRound
from topologies.rounds.ring import RingRound
from topologies.voting import shares
from topologies.way import Way

SEEDS_MAX = 200
AGENTS = 7
VIRTUAL_S = 300.0


def replaced_holder_keeps_its_token(patch):
    patch.setattr(OfficeBook, "appoint", lambda self, agent: None)


def gateway_takes_any_token(patch):
    original = OfficeBook.took_office

    def took_office(self, office, token):
        original(self, office, token)
        return True

    patch.setattr(OfficeBook, "took_office", took_office)
    patch.setattr(leading.Leading, "_may_finish", True)
    # and the coordinator kills nobody on neighbours' word: else no old holder lives long enough to be refused
    patch.setattr(Verdicts, "noticed", lambda self, watcher, peer, *, generation, state: "")


def peers_never_welcome_back(patch):
    original = MeshRound.on_peer

    def on_peer(self, peer, *, is_alive):
        return [] if is_alive else original(self, peer, is_alive=is_alive)

    patch.setattr(MeshRound, "on_peer", on_peer)


def leaders_finish_early(patch):
    patch.setattr(leading._Open, "is_complete", property(lambda self: 2 * len(self.votes) >= len(self.wanted)))


def one_voice_is_a_quorum(patch):
    patch.setattr(mesh, "quorum_size", lambda invited, quorum: 1)


def bypass_goes_anywhere(patch):
    def anybody(self):
        return self._following[0] if self._following[0] not in self._dead else "agent-001"

    patch.setattr(Way, "choose", anybody)


def the_dead_stay_dead(patch):
    original = Detector.heard

    def heard(self, peer, generation, *, now_s):
        return [] if self.state(peer) is PeerState.DEAD else original(self, peer, generation, now_s=now_s)

    patch.setattr(Detector, "heard", heard)


def rounds_never_close(patch):
    def end(self, round):
        is_complete = self.is_complete(round)
        self.completed += is_complete
        self.failed += not is_complete
        return is_complete

    patch.setattr(RoundLedger, "end", end)


def shares_lose_a_part(patch):
    patch.setattr(invariants, "shares", lambda decision: {who: 0.9 * part for who, part in shares(decision).items()})


def replaced_stages_begin_at_the_beginning(patch):
    original = RingRound.__init__

    def begin(self, seat, desk, *, rounds_over, **others):
        original(self, seat, desk, **others)

    patch.setattr(RingRound, "__init__", begin)


MUTATIONS = {
    Invariant.ONE_HOLDER: (replaced_holder_keeps_its_token, TopologyKind.STAR),
    Invariant.TOKENS_RISE: (gateway_takes_any_token, TopologyKind.STAR),
    Invariant.ONE_OWNER: (peers_never_welcome_back, TopologyKind.MESH),
    Invariant.ONE_EFFECT: (leaders_finish_early, TopologyKind.HIERARCHICAL),
    Invariant.QUORUM: (one_voice_is_a_quorum, TopologyKind.MESH),
    Invariant.ON_EDGES: (bypass_goes_anywhere, TopologyKind.RING),
    Invariant.REPAIRED: (the_dead_stay_dead, TopologyKind.RING),
    Invariant.LANE_ORDER: (rounds_never_close, TopologyKind.STAR),
    Invariant.CONSERVED: (shares_lose_a_part, TopologyKind.MESH),
    Invariant.PROGRESS: (replaced_stages_begin_at_the_beginning, TopologyKind.RING),
}


def first_violation(invariant, topology):
    """Return how many seeds it took to see this invariant violated; None if none of them showed it."""
    for seed in range(SEEDS_MAX):
        case = Case(topology=topology, agents=AGENTS, seed=seed, virtual_s=VIRTUAL_S, plan=PRESETS["harsh"])
        violation = World(case, HeapEngine()).run().violation
        if violation is not None and violation.invariant is invariant:
            return seed + 1
    return None


def test_every_invariant_has_its_mutation():
    assert set(MUTATIONS) == set(Invariant)


@pytest.mark.parametrize("invariant", Invariant, ids=lambda invariant: invariant.name)
def test_broken_build_is_caught(invariant, monkeypatch, record_property):
    mutate, topology = MUTATIONS[invariant]
    mutate(monkeypatch)
    seeds = first_violation(invariant, topology)
    record_property("seeds_until_caught", seeds)
    assert seeds is not None, f"{mutate.__name__} went unnoticed in {SEEDS_MAX} seeds"
