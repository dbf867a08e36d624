"""Baselines: what changed since an earlier report, and what is no report at all."""

import json
from typing import Any

import pytest

from oauth_server.compliance import Status
from oauth_server.compliance.reports import baseline
from oauth_server.compliance.reports.assessment import Assessment, FailOn
from oauth_server.compliance.reports.baseline import Changes
from tests.support.reports import HOSTILE, with_statuses


def stored(**statuses: Status) -> dict[str, Any]:
    """An earlier report as its file has it."""
    found: dict[str, Any] = json.loads(json.dumps(with_statuses(**statuses).as_dict()))
    return found


def read(value: object) -> baseline.Baseline:
    return baseline.read(json.dumps(value).encode())


def kinds(changes: Changes) -> dict[str, set[str]]:
    named = ("failing", "fixed", "unjudged", "added", "gone")
    found = {kind: {change.id for change in getattr(changes, kind)} for kind in named}
    return {kind: ids for kind, ids in found.items() if ids}


@pytest.mark.parametrize(
    ("before", "now", "kind"),
    [
        ("pass", "fail", "failing"),
        ("pass", "warn", "failing"),
        ("pass", "error", "failing"),
        ("skip", "fail", "failing"),
        ("error", "fail", "failing"),
        ("warn", "fail", "failing"),
        ("error", "warn", "failing"),
        ("fail", "pass", "fixed"),
        ("error", "pass", "fixed"),
        ("fail", "skip", "unjudged"),
        ("pass", "skip", "unjudged"),
        ("fail", "fail", ""),
        ("fail", "error", ""),
        ("warn", "error", ""),
        ("fail", "warn", ""),
        ("skip", "pass", ""),
        ("skip", "skip", ""),
        ("pass", "pass", ""),
    ],
)
def test_a_check_that_got_worse_is_newly_failing(before: Status, now: Status, kind: str) -> None:
    found = baseline.compare(with_statuses(prm_found=now), read(stored(prm_found=before)))
    assert kinds(found) == ({kind: {"prm-found"}} if kind else {})
    assert found.notes == ()


def test_checks_that_one_of_the_two_has_alone_are_named() -> None:
    before = stored()
    before["checks"] = [check for check in before["checks"] if check["id"] not in {"prm-found", "asm-found"}]
    before["checks"].append({"id": "older-check", "title": "What was once asked", "status": "pass"})
    found = baseline.compare(with_statuses(prm_found="fail"), read(before))
    assert kinds(found) == {"failing": {"prm-found"}, "added": {"prm-found", "asm-found"}, "gone": {"older-check"}}


@pytest.mark.parametrize(
    ("fail_on", "now", "before", "failing"),
    [
        ("must", {"prm_found": "fail"}, {}, {"prm-found"}),
        ("must", {"prm_found": "fail"}, {"prm_found": "fail"}, set()),
        ("must", {"prm_found": "error"}, {"prm_found": "fail"}, set()),
        ("must", {"asm_grant_types": "warn"}, {}, set()),
        ("should", {"asm_grant_types": "warn"}, {}, {"asm-grant-types"}),
        ("should", {"asm_grant_types": "warn"}, {"asm_grant_types": "warn"}, set()),
        ("should", {"cors_discovery": "warn"}, {}, set()),
        ("must", {"prm_found": "skip"}, {}, set()),
        ("must", {"asm_grant_types": "error"}, {}, set()),
    ],
)
def test_only_what_is_new_fails_the_run(
    fail_on: FailOn, now: dict[str, Status], before: dict[str, Status], failing: set[str]
) -> None:
    report = with_statuses(**now)
    changes = baseline.compare(report, read(stored(**before)))
    assessment = Assessment(report, fail_on, changes)
    assert {result.check.id for result in assessment.failing} == failing
    assert assessment.verdict.startswith("Failed (new since the baseline): " if failing else "Passed: nothing")
    alone = Assessment(report, fail_on)
    assert bool(alone.failing) == (alone.verdict.startswith("Failed: "))


def test_many_failures_are_named_and_the_rest_counted() -> None:
    report = with_statuses(
        **{check.check.id.replace("-", "_"): "fail" for check in with_statuses().checks if check.check.levels["2026-07-28"] == "MUST"}
    )  # fmt: skip
    verdict = Assessment(report).verdict
    assert verdict.count(",") == 9
    assert verdict.endswith(f" and {len(Assessment(report).failing) - 10} more.")


def test_a_baseline_of_something_else_is_told() -> None:
    before = stored() | {"target": "https://other.example\x1b[2J", "spec_version": "2025-06-18", "depth": "active"}
    assert baseline.compare(with_statuses(), read(before)).notes == (
        "The baseline is of another target: https://other.example\\x1b[2J",
        "The baseline was judged by another specification: MCP 2025-06-18",
        "The baseline is of another depth: active",
    )


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([], "not a report"),
        ({}, "not a report"),
        (stored() | {"checks": {}}, "not a report"),
        (stored() | {"checks": [{}] * 2001}, "not a report"),
        (stored() | {"target": 1}, "not a report"),
        (stored() | {"started_at": "yesterday"}, "started_at"),
        (stored() | {"started_at": "0001-01-01T00:00:00+10:00"}, "started_at"),
        (stored() | {"schema_version": 2}, "schema_version is 2"),
        (stored() | {"schema_version": True}, "schema_version is True"),
        (stored() | {"schema_version": HOSTILE[6]}, "schema_version is "),
        (stored() | {"spec_version": "2024-11-05"}, "does not know"),
        (stored() | {"depth": "deep"}, "does not know"),
        (stored() | {"checks": [None]}, "one of its checks"),
        (stored() | {"checks": [{"id": "a\x1b", "title": "t", "status": "pass"}]}, "one of its checks"),
        (stored() | {"checks": [{"id": "a", "title": "t", "status": "fine"}]}, "one of its checks"),
        (stored() | {"checks": [{"id": "a", "title": "t", "status": []}]}, "one of its checks"),
        (stored() | {"checks": [{"id": "a", "title": 1, "status": "pass"}]}, "one of its checks"),
    ],
)
def test_what_is_no_report_is_refused_with_a_reason(value: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as raised:
        read(value)
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("content", [b"", b"\xff", b"{", b"[" * 100_000, b"9" * 10_000])
def test_what_is_no_json_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="not JSON"):
        baseline.read(content)


def test_a_file_is_read_up_to_a_bound() -> None:
    content = json.dumps(stored()).encode()
    assert baseline.read(content.ljust(baseline.MOST_BYTES)).checks
    with pytest.raises(ValueError, match="longer than"):
        baseline.read(content.ljust(baseline.MOST_BYTES + 1))
