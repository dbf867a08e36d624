"""What `check` looks at: one check in full, or all of them in a table."""

from __future__ import annotations

import difflib
import inspect
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from oauth_server.commands.errors import MistakeError
from oauth_server.commands.output import fields, json_line, table
from oauth_server.compliance import CHECKS
from oauth_server.compliance.model import VERSIONS, reaches

if TYPE_CHECKING:
    from oauth_server.commands.check_output import Output
    from oauth_server.compliance import Check, Depth, SpecVersion


def explain(name: str, output: Output) -> int:
    """Print one check; MistakeError that names the nearest ones when there is none of this id."""
    known = {check.id: check for check in CHECKS}
    if name not in known:
        near = (
            difflib.get_close_matches(name, known, n=3, cutoff=0.7) or [other for other in known if name in other][:3]
        )
        hint = f"did you mean {' or '.join(near)}?" if near else "--list names them all."
        raise MistakeError(f"--explain: there is no check {name}; {hint}")
    found = _described(known[name])
    if output.form == "json":
        json_line(found)
        return 0
    levels = [f"{version}  {found['levels'].get(version, 'not asked for')}" for version in VERSIONS]
    sources = [f"{source['document']}, {source['section']}: {source['url']}" for source in found["sources"]]
    fields({**found, "levels": levels, "sources": sources})
    return 0


def listed(spec: SpecVersion, depth: Depth, output: Output) -> int:
    """Print the checks of a specification and a depth, in the order of a report."""
    found = [check for check in CHECKS if spec in check.levels and reaches(depth, check.depth)]
    if output.form == "json":
        for check in found:
            json_line(_described(check))
        return 0
    rows = ((check.id, check.levels[spec], check.depth, check.family, check.title) for check in found)
    table(("ID", "LEVEL", "DEPTH", "FAMILY", "TITLE"), rows)
    return 0


def _described(check: Check) -> dict[str, Any]:
    return {
        "id": check.id,
        "title": check.title,
        "role": check.role,
        "family": check.family,
        "depth": check.depth,
        "levels": dict(check.levels),
        "sources": [asdict(source) for source in check.sources],
        "looks_at": " ".join((inspect.getdoc(check.run) or "").split()),
        "fix": check.fix,
    }
