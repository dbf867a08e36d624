"""A report as JSON, of a stable schema: members may be added within a `schema_version`, none is taken away."""

from typing import Any

from oauth_server.compliance.reports.assessment import Assessment


def as_dict(assessment: Assessment) -> dict[str, Any]:
    """Return the report ready for JSON; `changes` is there when a baseline was given."""
    found = assessment.report.as_dict()
    return found | {"changes": assessment.changes.as_dict()} if assessment.changes else found
