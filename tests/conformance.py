"""Check `scaling` against conformance vectors in any directory.

    python tests/conformance.py DIR [--json]

Reads every ``*.json`` in DIR and says for each file how many cases passed and which failed. A file is known by
its sections, not by its name; what is not known is listed as such and counts neither way. Exits with 0 when
all cases of known files passed, with 1 when a case failed or a file cannot be read, and with 2 when called wrongly.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from vector_formats import Case, Check, argo, hpa, kayenta

SECTIONS: dict[str, Check] = {
    "rate_limited": hpa.check_rate_limited,
    "limit_functions": hpa.check_limit,
    "convert_without_behavior": hpa.check_without_behavior,
    "stabilize_legacy": hpa.check_stabilise_down,
    "stabilize_with_behavior": hpa.check_stabilise,
    "store_events": hpa.check_store_events,
    "basic_canary": argo.check_basic_canary,
    "traffic_routed_canary": argo.check_routed_canary,
    "weight_approximation": argo.check_weight_approximation,
    "dynamic_stable_scale": argo.check_dynamic_stable_scale,
    "traffic_weight_to_replicas": argo.check_replicas_for_weight,
    "progress_threshold": argo.check_progress_threshold,
    "abort_weight": argo.check_abort_weight,
    "metric_status": argo.check_metric_status,
    "measurement_evaluation": argo.check_measurement,
    "phase_order_best_to_worst": argo.check_phase_order,
    "classifier": kayenta.check_classifier,
    "confidence_interval": kayenta.check_confidence_interval,
    "wilcoxon_diff": kayenta.check_rank_difference,
    "intermediate": kayenta.check_intermediate,
    "scorer": kayenta.check_score,
    "detectors": kayenta.check_detector,
    "statistics": kayenta.check_statistic,
}
PROSE = {"source", "licence", "license", "verified_by", "semantics", "defaults", "note", "notes"}
MALFORMED = (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError, AssertionError)


@dataclasses.dataclass(kw_only=True)
class Report:
    """What came of one file."""

    file: str
    status: str = "known"
    """``known``, ``unknown`` or ``unreadable``."""
    passed: int = 0
    failed: list[dict[str, str]] = dataclasses.field(default_factory=list)
    unknown_sections: list[str] = dataclasses.field(default_factory=list)
    message: str = ""


def check_file(path: Path) -> Report:
    """Check every case of a file."""
    report = Report(file=path.name)
    try:
        file = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        report.status, report.message = "unreadable", f"{type(error).__name__}: {error}"
        return report
    if not isinstance(file, dict):
        report.status, report.message = "unknown", f"holds a {type(file).__name__}, not an object with sections"
        return report
    sections = {name: content for name, content in file.items() if name not in PROSE}
    report.unknown_sections = [name for name, content in sections.items() if find_check(name, content) is None]
    known = [name for name in sections if name not in report.unknown_sections]
    if not known:
        report.status, report.message = "unknown", f"no known section among {', '.join(sections) or 'none'}"
    for section in known:
        check = find_check(section, sections[section])
        assert check is not None, "known sections have a check"
        for name, case in cases_of(section, sections[section]):
            if (wrong := try_case(check, case, file)) is None:
                report.passed += 1
            else:
                report.failed.append({"section": section, "case": name, "message": wrong})
    return report


def find_check(section: str, content: object) -> Check | None:
    """Return how to check a section; the name ``cases`` is shared by two formats and told apart by its cases."""
    if section != "cases":
        return SECTIONS.get(section)
    first = content[0] if isinstance(content, list) and content else None
    if not isinstance(first, dict):
        return None
    if "kind" in first:
        return hpa.check_calculator
    return hpa.check_grouping if {"pods", "samples"} <= first.keys() else None


def cases_of(section: str, content: object) -> Iterator[tuple[str, Case]]:
    """Name the cases of a section; two sections are a single fact, or facts by name."""
    if section == "phase_order_best_to_worst":
        cases = [{"order": content}]
    elif section == "intermediate" and isinstance(content, dict) and "expected" in content:
        cases = kayenta.intermediate_cases(content)
    else:
        cases = content if isinstance(content, list) else [content]
    for number, case in enumerate(cases, 1):
        title = (case.get("name") or case.get("test")) if isinstance(case, dict) else None
        note = f" ({case['note']})" if isinstance(case, dict) and case.get("note") else ""
        yield f"{number}: {title}{note}" if title else str(number), case


def try_case(check: Check, case: Case, file: Case) -> str | None:
    """Check a case; one that lacks a field or cannot be worked out has failed."""
    try:
        return check(case, file)
    except MALFORMED as error:
        return f"cannot be checked: {type(error).__name__}: {error}"


def write_text(reports: list[Report]) -> None:
    """Print one line a file, and one below it for each failure."""
    for report in reports:
        if report.status == "known":
            print(f"{report.file}: {report.passed} passed, {len(report.failed)} failed")
        else:
            print(f"{report.file}: {report.status}: {report.message}")
        for failure in report.failed:
            print(f"  FAILED {failure['section']} {failure['case']}: {failure['message']}")
        if report.status == "known" and report.unknown_sections:
            print(f"  not checked, unknown sections: {', '.join(report.unknown_sections)}")


def main() -> int:
    """Check a directory and say how it went."""
    parser = argparse.ArgumentParser(description="Check scaling against conformance vectors.")
    parser.add_argument("directory", type=Path, help="where the *.json files are")
    parser.add_argument("--json", action="store_true", help="write the report as JSON")
    arguments = parser.parse_args()
    if not arguments.directory.is_dir():
        parser.error(f"{arguments.directory} is not a directory")
    paths = sorted(arguments.directory.glob("*.json"))
    if not paths:
        parser.error(f"{arguments.directory} has no *.json")
    reports = [check_file(path) for path in paths]
    passed, failed = sum(report.passed for report in reports), sum(len(report.failed) for report in reports)
    if arguments.json:
        files = [dataclasses.asdict(report) for report in reports]
        print(json.dumps({"files": files, "passed": passed, "failed": failed}, indent=1))
    else:
        write_text(reports)
        print(f"{passed} passed, {failed} failed")
    return 1 if failed or any(report.status == "unreadable" for report in reports) else 0


if __name__ == "__main__":
    sys.exit(main())
