"""Cases of Argo Rollouts: canary counts and the verdicts of analysis."""

from vector_formats import Case, differing

from scaling import canary_counts, verdicts
from scaling.canary_counts import Counts, Side
from scaling.verdicts import Condition, MetricLimits, MetricTally, VerdictPhase


def check_basic_canary(case: Case, _file: Case) -> str | None:
    replicas = replica_count(case)
    older = case.get("older") or {"spec": 0}
    fleet = canary_counts.Fleet(
        replicas=replicas,
        canary=Side(case["canary_spec"], case["canary_available"]),
        stable=Side(case["stable_spec"], case["stable_available"]),
        older_wanted=older["spec"],
    )
    budget = canary_counts.resolve_budget(
        replicas, surge=case.get("max_surge"), unavailable=case.get("max_unavailable")
    )
    return compare(case, canary_counts.next_counts(fleet, effective_weight(case), budget=budget))


def check_routed_canary(case: Case, _file: Case) -> str | None:
    scale = case.get("set_canary_scale")
    step = canary_counts.RoutedStep(
        replicas=replica_count(case),
        weight=effective_weight(case),
        scale=None if scale is None or case.get("promote_full") else make_scale(scale),
        is_aborted=case.get("aborted", False),
        abort_delay_s=case.get("abort_scale_down_delay_s"),
        members_min=case.get("min_pods_per_replica_set"),
    )
    return compare(case, canary_counts.routed_counts(step))


def check_weight_approximation(case: Case, _file: Case) -> str | None:
    counts = canary_counts.approximate_weight(
        case["replicas"], case["weight"], surge=case["max_surge"], weight_max=case["max_weight"]
    )
    return compare(case, counts)


def check_dynamic_stable_scale(case: Case, _file: Case) -> str | None:
    replicas = replica_count(case)
    canary, stable = make_side(case.get("canary_rs")), make_side(case.get("stable_rs"))
    weights = [case["first_step_set_weight"], *(case.get("extra_step_set_weights") or [])]
    delay_s = case.get("abort_scale_down_delay_s")
    weight = weights[0]
    if case["aborted"]:
        weight = 0
        if canary is not None and stable is not None:
            weight = canary_counts.abort_weight(weights, replicas, canary=canary, stable=stable, abort_delay_s=delay_s)
    step = canary_counts.RoutedStep(replicas=replicas, weight=weight, is_aborted=case["aborted"], abort_delay_s=delay_s)
    traffic = canary_counts.TrafficWeights(case["canary_traffic_weight"], case["stable_traffic_weight"])
    return compare(case, canary_counts.dynamic_counts(step, traffic))


def check_replicas_for_weight(case: Case, _file: Case) -> str | None:
    found = canary_counts.replicas_for_weight(case["replicas"], case["weight"], weight_max=case["max_weight"])
    return differing({"replicas": case["expected"]}, {"replicas": found})


def check_progress_threshold(case: Case, _file: Case) -> str | None:
    threshold = case["threshold"]
    reached = canary_counts.is_step_reached(
        None
        if threshold is None
        else canary_counts.Threshold(threshold["value"], is_percentage=threshold["type"].startswith("percent")),
        make_side(case["replica_set"]),
        desired=case["desired"],
    )
    return differing({"reached": case["expected"]}, {"reached": reached})


def check_abort_weight(case: Case, _file: Case) -> str | None:
    weight = canary_counts.abort_weight(
        case["step_weights"],
        case["spec_replicas"],
        canary=Side(5, case["canary_available"]),
        stable=Side(case["stable_available"], case["stable_available"]),
        abort_delay_s=case["abort_scale_down_delay_s"],
    )
    return differing({"weight": case["expected_weight"]}, {"weight": weight})


def check_metric_status(case: Case, _file: Case) -> str | None:
    metric, result = case["metric"], case["result"]
    measurements = [VerdictPhase(phase) for phase in result.get("measurements", [])]
    phase = verdicts.assess_metric(
        MetricLimits(
            has_interval=bool(metric.get("interval")),
            count=metric.get("count"),
            failures_max=metric.get("failure_limit"),
            inconclusive_max=metric.get("inconclusive_limit"),
            consecutive_errors_max=metric.get("consecutive_error_limit"),
            consecutive_successes=metric.get("consecutive_success_limit"),
        ),
        MetricTally(
            phase=VerdictPhase(result["phase"]) if result.get("phase") else None,
            latest=measurements[-1] if measurements else None,
            count=result.get("count", 0),
            failed=result.get("failed", 0),
            inconclusive=result.get("inconclusive", 0),
            successful=result.get("successful", 0),
            errors=result.get("error", 0),
            consecutive_errors=result.get("consecutive_error", 0),
            consecutive_successes=result.get("consecutive_success", 0),
        ),
        terminating=case["terminating"],
    )
    return differing({"phase": case["expected_phase"]}, {"phase": phase.value})


def check_measurement(case: Case, _file: Case) -> str | None:
    conditions = [make_condition(case[name]) for name in ("success_condition", "failure_condition")]
    phase = verdicts.evaluate_measurement(*conditions)
    return differing({"phase": case["expected_phase"]}, {"phase": phase.value})


def check_phase_order(case: Case, _file: Case) -> str | None:
    return differing({"order": case["order"]}, {"order": [phase.value for phase in VerdictPhase]})


def make_condition(value: bool | str | None) -> Condition | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return Condition.TRUE if value else Condition.FALSE
    return Condition.BROKEN


def make_side(replica_set: Case | None) -> Side | None:
    if replica_set is None:
        return None
    wanted = replica_set.get("spec")
    return Side(1 if wanted is None else wanted, replica_set["available"])


def make_scale(scale: Case) -> canary_counts.CanaryScale:
    return canary_counts.CanaryScale(
        replicas=scale.get("replicas"),
        weight=scale.get("weight"),
        matches_traffic_weight=bool(scale.get("match_traffic_weight")),
    )


def replica_count(case: Case) -> int:
    return 1 if case.get("spec_replicas") is None else case["spec_replicas"]


def effective_weight(case: Case) -> int:
    if case.get("promote_full"):
        return canary_counts.WEIGHT_MAX
    return 0 if case.get("aborted") else case["set_weight"]


def compare(case: Case, counts: Counts) -> str | None:
    return differing(
        {"canary": case["expected_canary"], "stable": case["expected_stable"]},
        {"canary": counts.canary, "stable": counts.stable},
    )
