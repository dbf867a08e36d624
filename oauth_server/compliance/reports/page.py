"""A report as one HTML page that a person would forward: nothing to load, nothing to run, safe to open."""

import base64
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from oauth_server.compliance.inert import spelt
from oauth_server.compliance.model import Result, Status
from oauth_server.compliance.reports.assessment import ROLES, Assessment, by_family
from oauth_server.compliance.reports.baseline import NAMES

_FOLDER: Final = Path(__file__).parent / "templates"
_STYLE: Final = (_FOLDER / "report.css").read_text(encoding="utf-8")
_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY: Final = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'"
_SECTIONS: Final[tuple[tuple[Status, str, str], ...]] = (
    ("fail", "Failed", "What the specification demands, and the server does not keep."),
    ("warn", "Recommended, and not kept", "The server can be used as it is; each of these makes it better."),
    ("error", "Could not be judged", "The server did not answer, or not in time."),
)
_FOLDED: Final = {NAMES["added"], NAMES["gone"]}  # long where the depth or the program is another one


@dataclass(frozen=True, slots=True)
class _Score:
    """How many checks are kept, of how many; `share` in hundredths, rounded down so that only all is 100."""

    name: str
    kept: int
    judged: int

    @property
    def share(self) -> int:
        return 100 * self.kept // self.judged if self.judged else 0


def render(assessment: Assessment) -> str:
    """Return the page."""
    report = assessment.report
    problems = [
        (status, heading, lead, by_family(assessment.of(status)))
        for status, heading, lead in _SECTIONS
        if assessment.of(status)
    ]
    changes = assessment.changes
    return _TEMPLATES.get_template("report.html").render(
        assessment=assessment,
        report=report,
        started=datetime.fromtimestamp(report.started_at, UTC),
        must=_Score("MUST", *assessment.total("MUST")),
        roles=[
            (role, [_Score(level, *assessment.score(role, level)) for level in assessment.levels]) for role in ROLES
        ],
        problems=problems,
        rest=[(family, results, _tally(results)) for family, results in by_family(assessment.of("skip", "pass"))],
        verdict=_verdict(assessment),
        changes=[(name, found) for name, found in changes.named if found] if changes else [],
        told=changes.told if changes else "",
        folded=_FOLDED,
        style=Markup(_STYLE),  # noqa: S704 - our own file
        policy=CONTENT_SECURITY_POLICY,
    )


def _verdict(assessment: Assessment) -> str:
    """Return the outcome; what failed follows on the page, so it is only counted here."""
    number = len(assessment.failing)
    if not number:
        return assessment.verdict
    new = ", new since the baseline" if assessment.changes else ""
    return (
        f"Not passed: {number} {'requirement is' if number == 1 else 'requirements are'} not kept or not judged{new}."
    )


def _tally(results: list[Result]) -> str:
    skipped = sum(result.status == "skip" for result in results)
    passed = len(results) - skipped
    return ", ".join(part for part in (f"{passed} passed" * bool(passed), f"{skipped} skipped" * bool(skipped)) if part)


def _words(own: str) -> Markup:
    """Return our own words, what stands in backticks as code."""
    parts = spelt(own).split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part) for number, part in enumerate(parts)
    )


_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(_FOLDER),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    auto_reload=False,
)
_TEMPLATES.filters.update(words=_words, spelt=spelt)
