"""A report: the results of a run, as JSON of a stable schema and as text."""

from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from oauth_server.compliance.model import STATUSES, Depth, Result, SpecVersion

SCHEMA_VERSION: Final = 1


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
        """Return the counts: `total`, one per status, and under `levels` one per status for each level."""
        counted = Counter(result.status for result in self.checks)
        by_level: dict[str, dict[str, int]] = {}
        for result in self.checks:
            counts = by_level.setdefault(self._level(result), dict.fromkeys(STATUSES, 0))
            counts[result.status] += 1
        return {"total": len(self.checks), **{status: counted[status] for status in STATUSES}, "levels": by_level}

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
        """Return the report for a person: what failed first, each with its fix; what passed as one line each."""
        counts = ", ".join(f"{self.summary[status]} {status}" for status in reversed(STATUSES))
        lines = [f"{self.target}", f"MCP {self.spec_version}, {self.depth}: {counts}", ""]
        for status in STATUSES:
            for result in self.checks:
                if result.status == status:
                    lines += self._lines(result)
        return "\n".join(lines).rstrip() + "\n"

    def _level(self, result: Result) -> str:
        return result.check.levels[self.spec_version]

    def _lines(self, result: Result) -> list[str]:
        check = result.check
        lines = [f"{result.status.upper():5} {self._level(result):6} {check.id}: {check.title}"]
        if result.status == "pass":
            return lines
        lines.append(f"      {result.summary}")
        if result.status in {"fail", "warn"}:
            for evidence in result.evidence:
                seen = f"  {evidence.seen}" if evidence.seen else ""
                lines.append(f"      {evidence.request} -> {evidence.status}{seen}")
            source = check.sources[0]
            lines += [f"      Fix: {check.fix}", f"      {source.document}, {source.section}: {source.url}"]
        return [*lines, ""]

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
