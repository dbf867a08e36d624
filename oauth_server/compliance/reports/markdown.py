"""A report as Markdown (GitHub's), for a pull request or a ticket.

What strangers wrote stands in code alone, since that is where Markdown knows neither links, mentions nor HTML.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from oauth_server.compliance.inert import spelt
from oauth_server.compliance.model import Result, Status
from oauth_server.compliance.reports import text
from oauth_server.compliance.reports.assessment import ROLES, Assessment, by_family

_HEADINGS: Final[tuple[tuple[Status, str], ...]] = (
    ("fail", "Failed"),
    ("warn", "Recommended, and not kept"),
    ("error", "Could not be judged"),
)
_SPECIAL: Final = re.compile(r"([\\*_\[\]<>#|~&])")


def render(assessment: Assessment) -> str:
    """Return the page."""
    parts = (_head, _score, _changes, _problems, _rest, _left)
    blocks = [block for part in parts for block in part(assessment)]
    return "\n\n".join(blocks) + "\n"


def _head(assessment: Assessment) -> Iterator[str]:
    report = assessment.report
    started = datetime.fromtimestamp(report.started_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    yield f"# OAuth of {code(report.target)}"
    yield f"**{words(assessment.verdict)}**"
    yield f"MCP {report.spec_version}, depth {report.depth}, {started}: {text.counts(assessment)}."


def _score(assessment: Assessment) -> Iterator[str]:
    levels = assessment.levels
    rows = [f"| Kept, of all but the skipped | {' | '.join(levels)} |", f"|---|{'---:|' * len(levels)}"]
    for role in ROLES:
        scores = [assessment.score(role, level) for level in levels]
        cells = [f"{kept} of {judged}" if judged else "none" for kept, judged in scores]
        rows.append(f"| {role} | {' | '.join(cells)} |")
    yield "\n".join(rows)


def _changes(assessment: Assessment) -> Iterator[str]:
    changes = assessment.changes
    if changes is None:
        return
    yield f"## Since the baseline of {code(changes.baseline.moment)}"
    yield f"{changes.told}."
    yield from (code(note) for note in changes.notes)
    rows = [
        f"| {name} | {cell(change.id)} | {cell(change.title)} | {change.before or 'none'} | {change.now or 'none'} |"
        for name, found in changes.named
        for change in found
    ]
    if rows:
        yield ("\n".join(["| What | Check | Title | Before | Now |", "|---|---|---|---|---|", *rows]))


def _problems(assessment: Assessment) -> Iterator[str]:
    for status, heading in _HEADINGS:
        results = assessment.of(status)
        if results:
            yield f"## {heading}: {len(results)}"
        for family, found in by_family(results):
            yield f"### {words(family[:1].upper() + family[1:])}"
            for result in found:
                yield from _problem(assessment, result)


def _problem(assessment: Assessment, result: Result) -> Iterator[str]:
    check = result.check
    known = ", in the baseline" if assessment.known(result) else ""
    yield f"#### {words(check.title)}"
    yield f"{code(check.id)}: {assessment.level(result)}, {check.role}{known}"
    seen = [f"{item.request} -> {item.status}  {item.seen}".rstrip() for item in result.evidence]
    yield _block([result.summary, *seen])
    if result.status != "error":
        yield f"**Fix:** {words(check.fix)}"
    yield "\n".join(
        f"- [{words(source.document)}, {words(source.section)}](<{source.url}>)" for source in check.sources
    )


def _rest(assessment: Assessment) -> Iterator[str]:
    """One row for each check that needs no attention; a skipped one says why."""
    rows = [
        f"| {result.status} | {assessment.level(result)} | {code(result.check.id)} | {words(result.check.title)} "
        f"| {cell(result.summary) if result.status == 'skip' else ''} |"
        for status in ("skip", "pass")
        for _, results in by_family(assessment.of(status))
        for result in results
    ]
    if rows:
        yield "## Everything else"
        yield "\n".join(["| Status | Level | Check | Title | Why it was skipped |", "|---|---|---|---|---|", *rows])


def _left(assessment: Assessment) -> Iterator[str]:
    if assessment.report.left:
        yield "## Left at the server"
        yield "\n".join(f"- {code(sentence)}" for sentence in assessment.report.left)


def words(own: str) -> str:
    """Return our own words as text: code in backticks stays code, everything else that Markdown reads is escaped."""
    parts = own.split("`")
    return "".join(
        code(part) if number % 2 else _SPECIAL.sub(r"\\\1", spelt(part)) for number, part in enumerate(parts)
    )


def code(text: str) -> str:
    """Return anything as code within a line."""
    line = spelt(text)
    fence = "`" * (1 + _longest_run(line))
    blank = " " if line[:1] in {"`", " "} or line[-1:] in {"`", " "} else ""
    return f"{fence}{blank}{line}{blank}{fence}" if line else ""


def cell(text: str) -> str:
    """Return anything as code within a cell; a pipe is spelt out: escaped, it ends a cell after a backslash."""
    return code(text.replace("|", "\\x7c"))


def _block(lines: list[str]) -> str:
    """Return lines as a block of code."""
    shown = [spelt(line) for line in lines]
    fence = "`" * max(3, 1 + max(map(_longest_run, shown)))
    return "\n".join([f"{fence}text", *shown, fence])


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
