"""A desk for tests of single rounds: it has an opinion on everything and writes down what it was asked."""

import msgspec

from topologies.messages import Task, Tick, Vote

BAR = msgspec.Raw(msgspec.msgpack.encode("a bar"))


class FixedDesk:
    """Votes `target` with full confidence on every task."""

    def __init__(self, agent, target=1.0):
        self.agent = agent
        self.target = target
        self.fed = []
        self.worked = []

    def feed(self, tick):
        self.fed.append(tick.round)

    def work(self, tasks):
        self.worked += [task.key for task in tasks]
        return tuple(vote(self.agent, task.key, target=self.target) for task in tasks)


def make_tick(round, *symbols, attempt=1):
    return Tick(round, f"day {round}", dict.fromkeys(symbols or ("X",), BAR), attempt)


def make_task(key, strategy="momentum"):
    return Task(key, key.split("/")[1], strategy)


def vote(agent, task, *, target=1.0, confidence=1.0, strategy="momentum"):
    return Vote(task, task.split("/")[1], agent, strategy, target, confidence)
