"""The report of a compliance check as a tool's result: its schema, and a text of bounded length."""

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import Field

from oauth_tools.common import Answer

MOST_TEXT: Final = 16_000  # characters, about 4,000 tokens: what a model reads without losing the thread
MOST_NAMED: Final = 100

Depth = Literal["passive", "active", "adversarial"]
Status = Literal["pass", "fail", "warn", "skip", "error"]


class Source(Answer):
    """Where the rule is written."""

    document: str
    section: str
    url: str


class Evidence(Answer):
    """One exchange with the server; secrets are redacted, control characters spelt out."""

    request: str = Field(description="The request line: method and URL.")
    status: int = Field(description="The HTTP status of the answer.")
    seen: str = Field(description="The header or member that decided; may be empty.")
    excerpt: str = Field(description="The beginning of the answer's body.")


class CheckResult(Answer):
    """One check of the report."""

    id: str
    title: str = Field(description="The rule, as a sentence that is true where it is kept.")
    role: str = Field(description="Whose rule it is: authorization server, resource server, …")
    family: str
    level: Literal["MUST", "SHOULD", "MAY", "advice"] = Field(description="At the judged version of the specification.")
    depth: Depth = Field(description="The depth from which on the check is run.")
    sources: list[Source]
    status: Status = Field(
        description="fail: a MUST is not kept; warn: another rule is not; skip: a thing it needs is absent; "
        "error: not judged."
    )
    summary: str = Field(description="What was seen; for a skip or an error, why.")
    evidence: list[Evidence]
    fix: str


class Counts(Answer):
    """How many checks ended how."""

    passed: int = Field(alias="pass")
    fail: int
    warn: int
    error: int
    skip: int


class Summary(Counts):
    """The counts of all checks, for each level, and for each level of each role."""

    total: int
    levels: dict[str, Counts]
    roles: dict[str, dict[str, Counts]]


class ComplianceReport(Answer):
    """The report."""

    schema_version: int
    target: str
    spec_version: str
    depth: Depth
    started_at: str = Field(description="RFC 3339.")
    summary: Summary
    checks: list[CheckResult] = Field(description="In the order in which a client meets the rules.")
    left: list[str] = Field(description="What the run made at the server and could not delete, a sentence each.")


def bounded(text: str, report: Mapping[str, Any]) -> str:
    """The text, which begins with the failures, cut at the end of a line; what fails beyond is named."""
    if len(text) <= MOST_TEXT:
        return text
    kept = text[: text.rfind("\n", 0, MOST_TEXT) + 1] or text[:MOST_TEXT]
    unmet = [check["id"] for check in report["checks"] if check["status"] in {"fail", "warn", "error"}]
    named = [name for name in unmet if f" {name}:" not in kept][:MOST_NAMED]
    also = f" Not shown, and not passed: {', '.join(named)}." if named else ""
    return f"{kept}\nThe text ends here.{also} The structured result and oauth://compliance hold every check.\n"
