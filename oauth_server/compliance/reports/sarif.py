"""A report as SARIF 2.1.0 (OASIS), as code scanning reads it: a rule for each check, a result for what is not kept."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from oauth_server.compliance import urls
from oauth_server.compliance.inert import spelt
from oauth_server.compliance.model import Level, Result
from oauth_server.compliance.reports.assessment import Assessment

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
NAME: Final = "mcp-oauth-check"
_URI: Final = "/:?@!$&'()*+,;=-._~%"
_BARE: Final = re.compile("%(?![0-9A-Fa-f]{2})")
_LEVELS: Final[Mapping[Level, str]] = {"MUST": "error", "SHOULD": "warning", "MAY": "note", "advice": "note"}


def render(assessment: Assessment) -> str:
    """Return the log, of one run."""
    report = assessment.report
    index = {result.check.id: number for number, result in enumerate(report.checks)}
    driver = {
        "name": NAME,
        "informationUri": "https://modelcontextprotocol.io/specification",
        "rules": [_rule(assessment, result) for result in report.checks],
    }
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"{NAME}/{report.spec_version}/{report.depth}/"},
        "invocations": [_invocation(assessment, index)],
        "columnKind": "unicodeCodePoints",
        "results": [_result(assessment, result, index) for result in assessment.of("fail", "warn")],
        "properties": {"target": spelt(report.target), "left": [spelt(sentence) for sentence in report.left]},
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1) + "\n"


def _rule(assessment: Assessment, result: Result) -> dict[str, Any]:
    """Describe a check; all of it is our own text."""
    check = result.check
    sources = "; ".join(f"{source.document}, {source.section}" for source in check.sources)
    return {
        "id": check.id,
        "shortDescription": {"text": _message(check.title)},
        "fullDescription": {"text": _message(f"{check.title} ({sources}).")},
        "help": {"text": _message(check.fix)},
        "helpUri": check.sources[0].url,
        "defaultConfiguration": {"level": _LEVELS[assessment.level(result)]},
        "properties": {
            "tags": ["oauth", check.role, check.family],
            "level": assessment.level(result),
            "sources": [asdict(source) for source in check.sources],
        },
    }


def _result(assessment: Assessment, result: Result, index: Mapping[str, int]) -> dict[str, Any]:
    report, check = assessment.report, result.check
    seen = [f"{item.request} -> {item.status} {item.seen}".rstrip() for item in result.evidence]
    url = result.evidence[0].request.partition(" ")[2] if result.evidence else report.target
    place = {"artifactLocation": {"uri": _uri(url, report.target)}, "region": {"startLine": 1}}
    found = {
        "ruleId": check.id,
        "ruleIndex": index[check.id],
        "level": _LEVELS[assessment.level(result)],
        "message": {"text": _message("\n".join([result.summary, *seen, f"Fix: {check.fix}"]))},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {
            "target/v1": hashlib.sha256(f"{check.id} {spelt(report.target)}".encode()).hexdigest()[:16]
        },
        "properties": {
            "status": result.status,
            "fix": check.fix,
            "evidence": [{name: _plain(value) for name, value in asdict(item).items()} for item in result.evidence],
        },
    }
    if assessment.changes:
        found["baselineState"] = "unchanged" if assessment.known(result) else "new"
    return found


def _invocation(assessment: Assessment, index: Mapping[str, int]) -> dict[str, Any]:
    """Describe the run; what could not be judged is a notification of the tool, no result about the server."""
    errors = [
        {
            "level": "error",
            "message": {"text": _message(result.summary)},
            "associatedRule": {"id": result.check.id, "index": index[result.check.id]},
        }
        for result in assessment.of("error")
    ]
    started = datetime.fromtimestamp(assessment.report.started_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"executionSuccessful": not errors, "startTimeUtc": started, "toolExecutionNotifications": errors}


def _message(text: str) -> str:
    """Return a plain text message in which nothing is a link or a placeholder (SARIF 2.1.0, section 3.11)."""
    lines = "\n".join(spelt(line) for line in text.split("\n"))
    return lines.replace("[", "\\[").replace("]", "\\]").replace("{", "{{").replace("}", "}}")


def _plain(value: Any) -> Any:
    return spelt(value) if isinstance(value, str) else value


def _uri(url: str, target: str) -> str:
    """Return the first of the two that is a URL, with every character that no URI holds percent-encoded (RFC 3986)."""
    parts = urls.read(url) or urls.read(target)
    if parts is None:
        return "about:blank"
    rest = quote(f"{parts.path}?{parts.query}" if parts.query else parts.path, safe=_URI)
    return f"{parts.scheme}://{quote(parts.netloc, safe='[]:')}{_BARE.sub('%25', rest)}"
