"""The words of a topology: its kind, the role of an agent in it, the stage of a ring."""

from enum import StrEnum


class TopologyKind(StrEnum):
    MESH = "mesh"
    HIERARCHICAL = "hierarchical"
    RING = "ring"
    STAR = "star"


class Role(StrEnum):
    PEER = "peer"
    LEADER = "leader"
    WORKER = "worker"
    STAGE = "stage"
    HUB = "hub"
    SPOKE = "spoke"


class DistributionStrategy(StrEnum):
    """By which rule a leader or a hub shares out tasks; see `topologies.distribution`."""

    ROUND_ROBIN = "round-robin"
    LEAST_LOADED = "least-loaded"
    SPECIALIZED = "specialized"
    CONSENSUS = "consensus"
    ADAPTIVE = "adaptive"


class Stage(StrEnum):
    """What a round passes in a ring, in this order."""

    DATA = "data"
    SIGNAL = "signal"
    RISK = "risk"
    EXECUTION = "execution"


STAGE_ORDER = (Stage.DATA, Stage.SIGNAL, Stage.RISK, Stage.EXECUTION)
