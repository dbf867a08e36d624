"""A report for a terminal: what failed first, by family, with its fix; what passed as one line each."""

import textwrap
from collections.abc import Callable, Iterator
from typing import Final

from oauth_server.compliance.inert import spelt
from oauth_server.compliance.model import STATUSES, Result, Status
from oauth_server.compliance.reports.assessment import ROLES, Assessment, by_family

NARROWEST: Final = 56  # what the table of scores needs
_INDENT: Final = " " * 6
_COLOURS: Final[dict[Status, str]] = {"fail": "1;31", "warn": "33", "error": "35", "skip": "36", "pass": "32"}
_BOLD: Final = "1"
_FAINT: Final = "2"


def render(assessment: Assessment, *, width: int = 0, colour: bool = False) -> str:
    """Return the report; `width`: characters at which lines are broken, 0 never; `colour`: with escape sequences."""
    return _Page(assessment, width, colour).text()


def counts(assessment: Assessment) -> str:
    """Return how many results there are of each status."""
    summary = assessment.report.summary
    return ", ".join(f"{summary[status]} {status}" for status in reversed(STATUSES))


class _Page:
    def __init__(self, assessment: Assessment, width: int, colour: bool) -> None:
        self._assessment = assessment
        self._report = assessment.report
        self._width = max(width, NARROWEST) if width else 0
        self._colour = colour

    def text(self) -> str:
        parts: list[Callable[[], Iterator[str]]] = [
            self._head,
            self._score,
            self._changes,
            self._results,
            self._left,
            self._end,
        ]
        return "\n".join(line for part in parts for line in part()).rstrip() + "\n"

    def _head(self) -> Iterator[str]:
        report = self._report
        yield from self._wrapped(report.target, style=_BOLD)
        yield from self._wrapped(f"MCP {report.spec_version}, {report.depth}: {counts(self._assessment)}")
        yield ""

    def _score(self) -> Iterator[str]:
        """One row for each role: how many checks of each level are kept, of those that were judged."""
        levels = self._assessment.levels
        rows = [["", *levels]]
        for role in ROLES:
            scores = [self._assessment.score(role, level) for level in levels]
            rows.append([role, *(f"{kept}/{judged}" if judged else "-" for kept, judged in scores)])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            yield "  ".join(f"{cell:{size}}" for cell, size in zip(row, widths, strict=True)).rstrip()

    def _changes(self) -> Iterator[str]:
        changes = self._assessment.changes
        if changes is None:
            return
        yield ""
        yield from self._wrapped(f"Since the baseline of {changes.baseline.moment}: {changes.told}", style=_BOLD)
        for note in changes.notes:
            yield from self._wrapped(note)
        for name, found in changes.named:
            for change in found if found is not changes.added else ():  # new checks stand in the report anyway
                turned = " -> ".join(filter(None, (change.before, change.now)))
                yield from self._wrapped(f"  {name}: {change.id}: {change.title} ({turned})", indent=_INDENT)

    def _results(self) -> Iterator[str]:
        for status in STATUSES:
            for family, results in by_family(self._assessment.of(status)):
                yield ""
                yield self._styled(spelt(family), _BOLD)
                for number, result in enumerate(results):
                    if number and status != "pass":
                        yield ""
                    yield from self._result(result)

    def _result(self, result: Result) -> Iterator[str]:
        check, status = result.check, result.status
        known = " (in the baseline)" if self._assessment.known(result) else ""
        line = f"{status.upper():5} {self._assessment.level(result):6} {check.id}: {check.title}{known}"
        first, *more = self._wrapped(line, indent=_INDENT)
        yield self._styled(first[:5], _COLOURS[status]) + first[5:]
        yield from more
        if status == "pass":
            return
        yield from self._detail(result.summary)
        if status in {"fail", "warn"}:
            for evidence in result.evidence:
                seen = f"  {evidence.seen}" if evidence.seen else ""
                yield from self._detail(f"{evidence.request} -> {evidence.status}{seen}", _FAINT)
            source = check.sources[0]
            yield from self._detail(f"Fix: {check.fix}")
            yield from self._detail(f"{source.document}, {source.section}: {source.url}", _FAINT)

    def _left(self) -> Iterator[str]:
        if self._report.left:
            yield ""
            yield self._styled("Left at the server", _BOLD)
            for sentence in self._report.left:
                yield from self._detail(sentence)

    def _end(self) -> Iterator[str]:
        """Say the outcome where a terminal ends up."""
        yield ""
        style = _COLOURS["fail" if self._assessment.failing else "pass"]
        yield from self._wrapped(self._assessment.verdict, style=style)

    def _detail(self, text: str, style: str = "") -> Iterator[str]:
        for line in self._wrapped(_INDENT + text, indent=_INDENT):
            yield _INDENT + self._styled(line[len(_INDENT) :], style)

    def _wrapped(self, text: str, indent: str = "", style: str = "") -> Iterator[str]:
        """Break a line at blanks; a URL stays whole, so that it can be opened."""
        text = spelt(text)
        lines = [text]
        if self._width:
            lines = textwrap.wrap(
                text, self._width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
            )
        for line in lines:
            yield self._styled(line, style)

    def _styled(self, text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if self._colour and style and text else text
