"""A report: the results of a run, as JSON of a stable schema and as text."""

from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from oauth_server.compliance.model import STATUSES, Depth, Result, SpecVersion
from oauth_server.compliance.reports import text
from oauth_server.compliance.reports.assessment import Assessment
from oauth_server.compliance.reports.baseline import SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class Report:
    """What a run found; `started_at` in seconds since the epoch, `checks` in the order of the table.

    `left`: one sentence for each thing that the run made at the server and could not delete.
    """

    target: str
    spec_version: SpecVersion
    depth: Depth
    started_at: float
    checks: tuple[Result, ...]
    left: tuple[str, ...] = ()

    @property
    def summary(self) -> dict[str, Any]:
        """Return the counts: `total` and one per status, of all, in `levels` by level, in `roles` by role and level."""
        counted = Counter(result.status for result in self.checks)
        levels: dict[str, dict[str, int]] = {}
        roles: dict[str, dict[str, dict[str, int]]] = {}
        for result in self.checks:
            level = self._level(result)
            for group in (levels, roles.setdefault(result.check.role, {})):
                group.setdefault(level, dict.fromkeys(STATUSES, 0))[result.status] += 1
        found: dict[str, Any] = {status: counted[status] for status in STATUSES}
        return {"total": len(self.checks), **found, "levels": levels, "roles": roles}

    def as_dict(self) -> dict[str, Any]:
        """Return the report ready for JSON."""
        return {
            "schema_version": SCHEMA_VERSION,
            "target": self.target,
            "spec_version": self.spec_version,
            "depth": self.depth,
            "started_at": datetime.fromtimestamp(self.started_at, UTC).isoformat(timespec="seconds"),
            "summary": self.summary,
            "checks": [self._as_dict(result) for result in self.checks],
            "left": list(self.left),
        }

    def text(self) -> str:
        """Return the report for a person, in plain text: what failed first, with its fix."""
        return text.render(Assessment(self))

    def _level(self, result: Result) -> str:
        return result.check.levels[self.spec_version]

    def _as_dict(self, result: Result) -> dict[str, Any]:
        check = result.check
        return {
            "id": check.id,
            "title": check.title,
            "role": check.role,
            "family": check.family,
            "level": self._level(result),
            "depth": check.depth,
            "sources": [asdict(source) for source in check.sources],
            "status": result.status,
            "summary": result.summary,
            "evidence": [asdict(evidence) for evidence in result.evidence],
            "fix": check.fix,
        }
