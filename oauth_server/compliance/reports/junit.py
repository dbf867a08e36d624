"""A report as JUnit XML, as CI systems read it: a test suite for each family, a test case for each check."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from oauth_server.compliance.inert import spelt
from oauth_server.compliance.model import Result
from oauth_server.compliance.reports.assessment import Assessment, by_family

_NO_CHARACTER: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, section 2.2


def render(assessment: Assessment) -> str:
    """Return the document.

    What fails the run is a failure, or an error where it could not be judged; so CI and exit status agree. What is not
    kept and does not fail the run passes, and says so in its output; what the baseline had already is skipped.
    """
    report = assessment.report
    root = ET.Element("testsuites", {"name": f"MCP authorization {report.spec_version}", **_counts(assessment)})
    for number, (family, results) in enumerate(by_family(report.checks)):
        started = datetime.fromtimestamp(report.started_at, UTC).isoformat(timespec="seconds")
        named = {"id": str(number), "name": _text(family), "timestamp": started.removesuffix("+00:00")}
        suite = ET.SubElement(root, "testsuite", {**named, **_counts(assessment, results)})
        properties = ET.SubElement(suite, "properties")
        told = {"target": report.target, "spec_version": report.spec_version, "depth": report.depth}
        for name, value in told.items():
            ET.SubElement(properties, "property", {"name": name, "value": _text(value)})
        for result in results:
            _case(suite, assessment, result)
    if report.left:
        ET.SubElement(root[-1], "system-out").text = _text("\n".join(("Left at the server:", *report.left)))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False).join(
        ('<?xml version="1.0" encoding="UTF-8"?>\n', "\n")
    )


def _kind(assessment: Assessment, result: Result) -> str:
    """Return the element that stands for the outcome; empty for a test that passes."""
    if assessment.counts(result):
        return "error" if result.status == "error" else "failure"
    return "skipped" if result.status == "skip" or assessment.known(result) else ""


def _counts(assessment: Assessment, results: Sequence[Result] | None = None) -> dict[str, str]:
    found = assessment.report.checks if results is None else results
    kinds = [_kind(assessment, result) for result in found]
    named = {"failures": "failure", "errors": "error", "skipped": "skipped"}
    return {"tests": str(len(kinds)), **{name: str(kinds.count(kind)) for name, kind in named.items()}}


def _case(suite: ET.Element, assessment: Assessment, result: Result) -> None:
    check, level, kind = result.check, assessment.level(result), _kind(assessment, result)
    named = {"classname": _text(f"{check.role}.{check.family}"), "name": _text(f"{check.id}: {check.title}")}
    case = ET.SubElement(suite, "testcase", {**named, "time": "0"})
    if kind == "skipped":
        known = "in the baseline: " if result.status != "skip" else ""
        ET.SubElement(case, kind, {"message": _text(known + result.summary)})
    elif kind:
        outcome = ET.SubElement(case, kind, {"message": _text(result.summary), "type": level})
        outcome.text = _detail(result)
    elif result.status != "pass":
        ET.SubElement(case, "system-out").text = f"{result.status.upper()} ({level})\n{_detail(result)}"


def _detail(result: Result) -> str:
    seen = [f"{item.request} -> {item.status}  {item.seen}".rstrip() for item in result.evidence]
    sources = [f"{source.document}, {source.section}: {source.url}" for source in result.check.sources]
    return "\n".join(_text(line) for line in (result.summary, *seen, f"Fix: {result.check.fix}", *sources))


def _text(text: str) -> str:
    """Return what XML can hold; everything else was inert before, and is spelt out where it was not."""
    lines = "\n".join(spelt(line) for line in text.split("\n"))
    return _NO_CHARACTER.sub("\N{REPLACEMENT CHARACTER}", lines)
