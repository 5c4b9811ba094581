"""Small groups for tests of delegation: a star of a hub and spokes, and a leader between a root and two workers."""

from fixed_desk import FixedDesk, vote

from topologies.kinds import DistributionStrategy, Role
from topologies.messages import Result, Work
from topologies.round import Report, Send
from topologies.rounds import create_round
from topologies.seats import Branch, DelegationSeat, Office, Post

WORKER = {"momentum": 1}


def star_office(*spokes, token=1):
    return Office("hub", ("h", spokes[0]), ("h", *spokes), token)


def star_member(name, *, spokes=("s1", "s2"), token=1, desk=None):
    """Make the hub (h) or a spoke of a star; the first spoke is the deputy."""
    office = star_office(*spokes, token=token)
    branches = (Branch("h", {}), *(Branch(spoke, WORKER) for spoke in spokes))
    posts = (Post(office, branches, None, 2.0),) if name in office.holders else ()
    others = tuple(agent for agent in office.voters if agent != name)
    watches = others if posts else office.holders
    role, strategies = (Role.HUB, ()) if name == "h" else (Role.SPOKE, ("momentum",))
    seat = DelegationSeat(name, role, strategies, office, posts, DistributionStrategy.LEAST_LOADED, watches)
    return create_round(seat, desk or FixedDesk(name))


ROOT = Office("root", ("r", "c"), ("r", "c", "l"))
GROUP = Office("group", ("l", "w1"), ("l", "w1", "w2"))


def group_member(name, *, token=1, desk=None):
    """Make the leader (l), its deputy (w1) or the other worker (w2) of a group below a root (r, deputy c)."""
    group = Office(GROUP.name, GROUP.holders, GROUP.voters, token)
    branches = (Branch("l", {}), Branch("w1", WORKER), Branch("w2", WORKER))
    posts = (Post(group, branches, ROOT, 1.0),) if name in group.holders else ()
    watches = tuple(agent for agent in (*group.voters, *ROOT.holders) if agent != name) if posts else group.holders
    role, strategies = (Role.LEADER, ()) if name == "l" else (Role.WORKER, ("momentum",))
    member_of = ROOT if name == "l" else group
    seat = DelegationSeat(name, role, strategies, member_of, posts, DistributionStrategy.ROUND_ROBIN, watches)
    return create_round(seat, desk or FixedDesk(name))


def result(agent, *symbols, round=1, office="hub", unanswered=()):
    return Result(office, round, tuple(vote(agent, f"{round}/{symbol}/momentum") for symbol in symbols), unanswered)


def sent(actions, kind=Work):
    """Return what was sent of a kind, by receiver."""
    return {action.to: action.message for action in actions if is_sent(action, kind)}


def is_sent(action, kind):
    return isinstance(action, Send) and isinstance(action.message, kind)


def given(actions):
    """Name the tasks given to each branch."""
    return {to: [task.key for task in work.tasks] for to, work in sent(actions).items()}


def reports(actions):
    return [action for action in actions if isinstance(action, Report)]
