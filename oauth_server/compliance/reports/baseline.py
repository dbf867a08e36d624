"""A baseline: an earlier JSON report, and what is different since."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from oauth_server.compliance.inert import inert
from oauth_server.compliance.model import DEPTHS, STATUSES, VERSIONS, Status

if TYPE_CHECKING:
    from oauth_server.compliance.report import Report

SCHEMA_VERSION: Final = 1
MOST_BYTES: Final = 8 * 1024 * 1024
MOST_CHECKS: Final = 2000
NAMES: Final[Mapping[str, str]] = {
    "failing": "newly failing",
    "fixed": "fixed",
    "unjudged": "no longer judged",
    "added": "new checks",
    "gone": "gone checks",
}
_ID: Final = re.compile(r"[a-z0-9-]{1,80}")
_LINE: Final = 300
# How bad a status is. A check is newly failing when it got worse and is not kept: an error is not known to be one.
_BADNESS: Final[Mapping[Status, int]] = {"pass": 0, "skip": 0, "error": 1, "warn": 2, "fail": 3}


@dataclass(frozen=True, slots=True)
class Baseline:
    """What an earlier report says: its circumstances, and the title and status of each of its checks."""

    target: str
    spec_version: str
    depth: str
    started_at: str
    checks: Mapping[str, tuple[str, Status]]

    @property
    def moment(self) -> str:
        """When it was made, as a person reads it."""
        at = datetime.fromisoformat(self.started_at)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Change:
    """A check whose status is another one; empty where the check was not, or is no more, in the report."""

    id: str
    title: str
    before: Status | None
    now: Status | None


@dataclass(frozen=True, slots=True)
class Changes:
    """What is different since the baseline; `notes` say where the two cannot be compared like for like.

    `failing`: not kept, and worse than before or not in the baseline. `fixed`: kept, and was not. `unjudged`: skipped,
    and was judged. `added` and `gone`: checks that one of the two has alone.
    """

    baseline: Baseline
    notes: tuple[str, ...]
    failing: tuple[Change, ...]
    fixed: tuple[Change, ...]
    unjudged: tuple[Change, ...]
    added: tuple[Change, ...]
    gone: tuple[Change, ...]

    @property
    def named(self) -> list[tuple[str, tuple[Change, ...]]]:
        """The kinds of changes, each with its name for a person."""
        return [(name, getattr(self, kind)) for kind, name in NAMES.items()]

    @property
    def told(self) -> str:
        """How many there are of each kind."""
        return ", ".join(f"{len(found)} {name}" for name, found in self.named)

    def as_dict(self) -> dict[str, Any]:
        """Return the changes ready for JSON."""
        named = ("target", "spec_version", "depth", "started_at")
        return {
            "baseline": {name: getattr(self.baseline, name) for name in named},
            "notes": list(self.notes),
            **{kind: [asdict(change) for change in getattr(self, kind)] for kind in NAMES},
        }


def read(content: bytes) -> Baseline:
    """Read a JSON report; ValueError, a sentence for a person, when it is none that this version understands."""
    if len(content) > MOST_BYTES:
        raise ValueError(f"it is longer than {MOST_BYTES} bytes")
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    members = value if isinstance(value, dict) else {}
    version, checks = members.get("schema_version"), members.get("checks")
    named = {name: members.get(name) for name in ("target", "spec_version", "depth", "started_at")}
    lists = isinstance(checks, list) and len(checks) <= MOST_CHECKS
    if version is None or not lists or not all(isinstance(text, str) for text in named.values()):
        raise ValueError("it is not a report of this command")
    if version is True or version != SCHEMA_VERSION:
        raise ValueError(f"its schema_version is {inert(repr(version), 40)}, and this program reads {SCHEMA_VERSION}")
    if named["spec_version"] not in VERSIONS or named["depth"] not in DEPTHS:
        raise ValueError("it names a specification or a depth that this program does not know")
    texts = {name: inert(str(text), _LINE) for name, text in named.items()}
    found = Baseline(**texts, checks=dict(_check(item) for item in checks or ()))
    try:
        _ = found.moment
    except (ValueError, OverflowError):
        raise ValueError("its started_at is no time") from None
    return found


def _check(item: Any) -> tuple[str, tuple[str, Status]]:
    found = item if isinstance(item, dict) else {}
    name, title, status = found.get("id"), found.get("title"), found.get("status")
    if not (isinstance(name, str) and _ID.fullmatch(name) and isinstance(title, str) and status in STATUSES):
        raise ValueError("one of its checks is not as this program writes them")
    return name, (inert(title, _LINE), status)


def compare(report: "Report", baseline: Baseline) -> Changes:
    """Say what is different since the baseline."""
    now = {result.check.id: (result.check.title, result.status) for result in report.checks}
    both = [
        Change(name, title, baseline.checks[name][1] if name in baseline.checks else None, status)
        for name, (title, status) in now.items()
    ]
    gone = [Change(name, title, status, None) for name, (title, status) in baseline.checks.items() if name not in now]
    return Changes(
        baseline,
        tuple(_notes(report, baseline)),
        failing=tuple(c for c in both if _badness(c.now) > _badness(c.before)),
        fixed=tuple(c for c in both if c.now == "pass" and _badness(c.before)),
        unjudged=tuple(c for c in both if c.now == "skip" and c.before not in {None, "skip"}),
        added=tuple(c for c in both if c.before is None),
        gone=tuple(gone),
    )


def _badness(status: Status | None) -> int:
    return _BADNESS[status] if status else 0


def _notes(report: "Report", baseline: Baseline) -> list[str]:
    notes = []
    if baseline.target != report.target:
        notes.append(f"The baseline is of another target: {baseline.target}")
    if baseline.spec_version != report.spec_version:
        notes.append(f"The baseline was judged by another specification: MCP {baseline.spec_version}")
    if baseline.depth != report.depth:
        notes.append(f"The baseline is of another depth: {baseline.depth}")
    return notes
