"""Cases of Kubernetes' horizontal pod autoscaler: replica calculator, grouping, behaviour."""

import math

from vector_formats import Case, differing

from scaling.hpa import behavior, calculator, grouping, stabilisation

NOW = 0.0
UNKNOWN_POD = "unknown-{}"


def check_calculator(case: Case, _file: Case) -> str | None:
    try:
        proposal = propose(case)
    except calculator.MetricUnusableError as error:
        expected = case.get("expected_error")
        if expected is None:
            return f"unexpected error: {error}"
        return None if expected in str(error) else f"error: expected {expected!r}, got {str(error)!r}"
    if case.get("expected_error") is not None:
        return f"expected the error {case['expected_error']!r}, got {proposal}"
    average = case.get("expected_usage_milli", case.get("expected_raw_average_milli"))
    return differing(
        {
            "replicas": case["expected_replicas"],
            "usage_milli": average,
            "percent": case.get("expected_utilization_percent"),
        },
        {
            "replicas": proposal.replicas,
            "usage_milli": proposal.usage_milli,
            "percent": proposal.utilization_percent,
        },
    )


def propose(case: Case) -> calculator.Proposal:
    tolerance = calculator.Tolerance(down=case["tolerance_down"], up=case["tolerance_up"])
    kind, replicas = case["kind"], case["current_replicas"]
    if kind in ("object_average", "external_average"):
        return calculator.propose_by_share(
            case["metric_values_milli"], replicas, target_milli=case["target_average_milli"], tolerance=tolerance
        )
    fleet, usage = make_fleet(case, is_cpu=kind == "resource_utilization")
    if kind in ("object_value", "external_value"):
        return calculator.propose_by_value(
            case["metric_values_milli"], fleet, target_milli=case["target_value_milli"], tolerance=tolerance
        )
    if kind == "pods_metric":
        return calculator.propose_by_average(
            usage, fleet, target_milli=case["target_average_milli"], tolerance=tolerance
        )
    if kind == "resource_utilization":
        return calculator.propose_by_utilization(
            usage,
            fleet,
            requests_milli={str(index): pod.get("request_milli") for index, pod in enumerate(case["pods"])},
            target_percent=case["target_utilization_percent"],
            tolerance=tolerance,
        )
    raise ValueError(f"unknown kind {kind!r}")


def make_fleet(case: Case, *, is_cpu: bool) -> tuple[calculator.Fleet, dict[str, int]]:
    """Give the pods times that say what the case's flags say, so that grouping is tried too."""
    members = [make_member(str(index), pod) for index, pod in enumerate(case["pods"])]
    usage = {str(index): pod["usage_milli"] for index, pod in enumerate(case["pods"]) if has_usage(pod)}
    unknown = case.get("usage_of_unknown_pods_milli") or []
    usage |= {UNKNOWN_POD.format(index): value for index, value in enumerate(unknown)}
    samples = {name: grouping.Sample(taken_at_s=NOW, window_s=60) for name in usage}
    groups = grouping.group_members(members, samples, now=NOW, is_cpu=is_cpu)
    return calculator.Fleet(replicas=case["current_replicas"], members=members, groups=groups), usage


def has_usage(pod: Case) -> bool:
    return pod.get("usage_milli") is not None


def make_member(name: str, pod: Case) -> grouping.Member:
    warming = pod.get("in_cpu_init_window", False)
    return grouping.Member(
        name=name,
        phase=grouping.Phase(pod["phase"]),
        is_ready=pod["ready"],
        started_at_s=NOW - (60 if warming else 180),
        # A warming one turned ready half a window ago, another has been as it is since its start.
        ready_changed_at_s=NOW - (30 if warming else 180),
        is_leaving=pod["deleting"],
    )


def check_grouping(case: Case, _file: Case) -> str | None:
    samples = {
        name: grouping.Sample(taken_at_s=at(sample["sample_s_ago"]), window_s=sample["window_s"] or 0.0)
        for name, sample in case["samples"].items()
    }
    members = [
        grouping.Member(
            name=pod["name"],
            phase=grouping.Phase(pod["phase"]),
            is_ready=pod["ready_condition"],
            started_at_s=None if pod["started_s_ago"] is None else NOW - pod["started_s_ago"],
            ready_changed_at_s=at(pod["ready_transition_s_ago"]),
            is_leaving=pod["deleting"],
        )
        for pod in case["pods"]
    ]
    groups = grouping.group_members(members, samples, now=NOW, is_cpu=case["resource"] == "cpu")
    expected = case["expected"]
    sets = ("unready", "missing", "ignored")
    return differing(
        {"ready_count": expected["ready_count"]} | {name: sorted(expected[name]) for name in sets},
        {"ready_count": groups.ready_count} | {name: sorted(getattr(groups, name)) for name in sets},
    )


def at(age_s: float | None) -> float:
    return -math.inf if age_s is None else NOW - age_s


def check_rate_limited(case: Case, _file: Case) -> str | None:
    default = behavior.Behavior()
    limited = behavior.limit_rate(
        case["desired"],
        case["current"],
        bounds=behavior.Bounds(at_least=case["min"], at_most=case["max"]),
        behavior=behavior.Behavior(
            up=make_rules(case.get("scale_up")) or default.up, down=make_rules(case.get("scale_down")) or default.down
        ),
        changes=make_changes(case.get("scale_up_events"), case.get("scale_down_events")),
    )
    return differing(
        {"replicas": case["expected_replicas"], "reason": case["expected_reason"]},
        {"replicas": limited.replicas, "reason": limited.limit.value},
    )


def check_limit(case: Case, _file: Case) -> str | None:
    rules = make_rules(case["rules"])
    assert rules is not None, "a limit needs rules"
    limit = behavior.up_limit if case["direction"] == "up" else behavior.down_limit
    found = limit(case["current"], rules, changes=make_changes(case.get("events_up"), case.get("events_down")))
    return differing({"limit": case["expected_limit"]}, {"limit": found})


def check_without_behavior(case: Case, _file: Case) -> str | None:
    bounds = behavior.Bounds(at_least=case["min"], at_most=case["max"])
    limited = behavior.limit_without_behavior(case["desired"], case["current"], bounds=bounds)
    return differing(
        {"replicas": case["expected"], "reason": case["reason"]},
        {"replicas": limited.replicas, "reason": limited.limit.value},
    )


def check_stabilise_down(case: Case, _file: Case) -> str | None:
    found = stabilisation.stabilise_down(
        case["desired"], history=make_history(case), now=NOW, window_s=case["window_s"]
    )
    return differing(
        {"replicas": case["expected"], "log": case.get("expected_log_length")},
        {"replicas": found.replicas, "log": len(found.history)},
    )


def check_stabilise(case: Case, _file: Case) -> str | None:
    windows = stabilisation.Windows(up_s=case["scale_up_window_s"], down_s=case["scale_down_window_s"])
    found = stabilisation.stabilise(
        case["desired"], current=case["current"], history=make_history(case), now=NOW, windows=windows
    )
    return differing(
        {"replicas": case["expected"], "values": case.get("expected_recommendation_values")},
        {"replicas": found.replicas, "values": [past.replicas for past in found.history]},
    )


def check_store_events(case: Case, _file: Case) -> str | None:
    events = make_events(case["prev_events"])
    stored = behavior.store_event(events, case["replica_change"], rules=make_rules(case["rules"]), now=NOW)
    return differing(
        {"change": case.get("expected_change_last_60s"), "events": case.get("expected_events")},
        {
            "change": behavior.change_within(events, 60, now=NOW),
            "events": [{"replica_change": event.change, "outdated": event.is_outdated} for event in stored],
        },
    )


def make_rules(rules: Case | None) -> behavior.Rules | None:
    if rules is None:
        return None
    policies = tuple(
        behavior.Policy(behavior.Unit(policy["type"]), policy["value"], policy["period_s"])
        for policy in rules["policies"]
    )
    return behavior.Rules(policies=policies, select=behavior.Select(rules["select_policy"]))


def make_events(events: list[Case] | None) -> tuple[behavior.ScaleEvent, ...]:
    return tuple(
        behavior.ScaleEvent(event["replica_change"], NOW - event["age_s"], event.get("outdated", False))
        for event in events or []
    )


def make_changes(ups: list[Case] | None, downs: list[Case] | None) -> behavior.Changes:
    return behavior.Changes(events=behavior.Events(ups=make_events(ups), downs=make_events(downs)), now=NOW)


def make_history(case: Case) -> list[stabilisation.Recommendation]:
    return [stabilisation.Recommendation(past["value"], NOW - past["age_s"]) for past in case["recommendations"]]
