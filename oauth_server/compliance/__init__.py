"""The auditor: a client of any server that knows it only by its answers."""

from oauth_server.compliance.model import Check, Depth, Evidence, Level, Result, Role, Source, SpecVersion, Status
from oauth_server.compliance.report import Report
from oauth_server.compliance.runner import LIMITS, audit
from oauth_server.compliance.tables import CHECKS

__all__ = [
    "CHECKS",
    "LIMITS",
    "Check",
    "Depth",
    "Evidence",
    "Level",
    "Report",
    "Result",
    "Role",
    "Source",
    "SpecVersion",
    "Status",
    "audit",
]
