"""The benchmark's judges, which take many rollouts at once, say what the judges themselves say one by one."""

import random

import numpy as np
import pytest

from benchmarks import judges
from scaling.classification import Criteria, Direction, Label, classify
from scaling.sequential import PairCounts, SequentialPolicy, TaskOutcome, Verdict, judge
from scaling.verdicts import MetricLimits, MetricTally, VerdictPhase, assess_metric

SEEDS = range(3)
SCENARIOS = pytest.mark.parametrize("scenario", judges.SCENARIOS, ids=lambda scenario: scenario.name)
DRAWN = judges.draw(SEEDS)


@SCENARIOS
def test_ours_ends_where_one_judgement_after_another_ends(scenario):
    traffic, policy = judges.make_traffic(DRAWN, scenario), SequentialPolicy()
    ends = judges.judge_sequential(traffic, policy)
    for row in SEEDS:
        counts = PairCounts()
        while judge(counts, policy=policy).verdict is Verdict.NOT_YET:
            at = counts.pairs
            counts = counts.add(
                TaskOutcome(bool(traffic.canary_failed[row, at]), float(traffic.canary_s[row, at])),
                TaskOutcome(bool(traffic.stable_failed[row, at]), float(traffic.stable_s[row, at])),
                policy=policy,
            )
        assert counts.pairs == ends.tasks[row]
        assert (judge(counts, policy=policy).verdict is Verdict.ROLL_BACK) == ends.is_rolled_back[row]


@SCENARIOS
def test_argo_ends_where_its_verdicts_end(scenario):
    traffic = judges.make_traffic(DRAWN, scenario)
    failed, ends = judges.failed_checks(traffic), judges.judge_argo(traffic, failures_max=3)
    limits = MetricLimits(has_interval=True, count=judges.CHECKS, failures_max=3)
    for row in SEEDS:
        tallies, checks = [MetricTally(), MetricTally()], 0
        phases = [VerdictPhase.RUNNING]
        while VerdictPhase.FAILED not in phases and checks < judges.CHECKS:
            phases = []
            for metric, flags in enumerate(failed):
                phase = VerdictPhase.FAILED if flags[row, checks] else VerdictPhase.SUCCESSFUL
                tallies[metric] = tallies[metric].add(phase)
                phases.append(assess_metric(limits, tallies[metric]))
            checks += 1
        assert checks * judges.CHECK_TASKS == ends.tasks[row]
        assert (VerdictPhase.FAILED in phases) == ends.is_rolled_back[row]


@SCENARIOS
def test_the_quick_form_of_kayenta_classifies_alike(scenario):
    traffic = judges.make_traffic(DRAWN, scenario)
    canary = judges.averages(traffic.canary_failed, traffic.canary_s)
    stable = judges.averages(traffic.stable_failed, traffic.stable_s)
    criteria = Criteria(direction=Direction.INCREASE)
    for checks in judges.KAYENTA_CHECKS:
        for new, old in zip(canary, stable, strict=True):
            quick = judges.is_high(new[:, :checks], old[:, :checks])
            slow = [
                classify(one[:checks].tolist(), other[:checks].tolist(), criteria=criteria, rng=random.Random(0)).label
                for one, other in zip(new, old, strict=True)
            ]
            assert quick.tolist() == [label is Label.HIGH for label in slow]


def test_scenarios_differ_in_what_they_say_and_in_nothing_else():
    same, slow = (judges.make_traffic(DRAWN, judges.SCENARIOS[index]) for index in (0, -1))
    assert np.array_equal(same.canary_failed, slow.canary_failed)
    assert np.allclose(2 * same.canary_s, slow.canary_s)
