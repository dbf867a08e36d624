"""A report with what it is held against: which of its results count as failed, and which were known."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from oauth_server.compliance.model import Level, Result, Role, Status
from oauth_server.compliance.reports.baseline import Changes

if TYPE_CHECKING:
    from oauth_server.compliance.report import Report

FailOn = Literal["must", "should"]
LEVELS: Final[tuple[Level, ...]] = ("MUST", "SHOULD", "MAY", "advice")
ROLES: Final[tuple[Role, ...]] = ("authorization server", "resource server")
NOT_KEPT: Final[tuple[Status, ...]] = ("fail", "warn", "error")
MOST_NAMED: Final = 10
_COUNTED: Final[Mapping[FailOn, tuple[Level, ...]]] = {"must": ("MUST",), "should": ("MUST", "SHOULD")}


@dataclass(frozen=True, slots=True)
class Assessment:
    """A report, the least level that must be kept, and the changes since a baseline, where one was given."""

    report: "Report"
    fail_on: FailOn = "must"
    changes: Changes | None = None

    def level(self, result: Result) -> Level:
        """Return the level of a check in the version of the report."""
        return result.check.levels[self.report.spec_version]

    def counts(self, result: Result) -> bool:
        """Say whether a result fails the run: not kept or not judged, at a level that counts, and new."""
        counted = result.status in NOT_KEPT and self.level(result) in _COUNTED[self.fail_on]
        return counted and not self.known(result)

    def known(self, result: Result) -> bool:
        """Say whether a result that is not kept was so in the baseline."""
        if self.changes is None or result.status not in NOT_KEPT:
            return False
        return result.check.id not in {change.id for change in self.changes.failing}

    @property
    def failing(self) -> list[Result]:
        """The results that fail the run."""
        return [result for result in self.report.checks if self.counts(result)]

    @property
    def verdict(self) -> str:
        """The outcome in one sentence, as the exit status has it."""
        failed = [result.check.id for result in self.failing]
        if failed:
            more = f" and {len(failed) - MOST_NAMED} more" if len(failed) > MOST_NAMED else ""
            new = " (new since the baseline)" if self.changes else ""
            return f"Failed{new}: {', '.join(failed[:MOST_NAMED])}{more}."
        known = sum(self.known(result) for result in self.report.checks)
        if self.changes:
            return f"Passed: nothing that counts got worse since the baseline; {known} of its findings remain."
        return f"Passed: every {' and '.join(_COUNTED[self.fail_on])} that was judged is kept."

    def score(self, role: Role, level: Level) -> tuple[int, int]:
        """Return how many checks of a role and level are kept, and how many were judged or should have been."""
        counts = self.report.summary["roles"].get(role, {}).get(level, {})
        return counts.get("pass", 0), sum(counts.get(status, 0) for status in ("pass", *NOT_KEPT))

    @property
    def levels(self) -> list[Level]:
        """The levels that the report has, the strictest first."""
        return [level for level in LEVELS if level in self.report.summary["levels"]]

    def total(self, level: Level) -> tuple[int, int]:
        """Return the score of a level, of both roles together."""
        kept, judged = zip(*(self.score(role, level) for role in ROLES), strict=True)
        return sum(kept), sum(judged)

    def of(self, *statuses: Status) -> list[Result]:
        """Return the results of these statuses, in the order of the report."""
        return [result for result in self.report.checks if result.status in statuses]


def by_family(results: Iterable[Result]) -> Sequence[tuple[str, list[Result]]]:
    """Group results by family, in the order in which the families first come."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.check.family, []).append(result)
    return list(groups.items())
