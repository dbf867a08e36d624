"""Audits of the flawed server, with tokens of its own flows unless one is given, and what became of them."""

from flawed_server import FlawedServer
from flawed_state import PASSWORD, USER

from oauth_server.compliance import LIMITS, Report, Result, SpecVersion, audit
from oauth_server.compliance.form_visitor import FormVisitor
from oauth_server.outbound import Outbound

BASE = "https://mcp.example"


async def at_once(seconds: float) -> None:
    """Wait for nothing."""


async def run(
    flaw: str = "",
    *,
    version: SpecVersion = "2026-07-28",
    signs_in: bool = True,
    access_token: str = "",
    server: FlawedServer | None = None,
) -> Report:
    """Audit the flawed server, as a rule with tokens of its own flows alone."""
    transport = (server or FlawedServer(flaw)).transport()
    outbound = Outbound(transport=transport, limits=LIMITS["adversarial"])
    return await audit(
        f"{BASE}/mcp",
        outbound=outbound,
        depth="adversarial",
        spec_version=version,
        access_token=access_token,
        visitor=FormVisitor(outbound, USER, PASSWORD) if signs_in else None,
        sleep=at_once,
    )


def result(report: Report, name: str) -> Result:
    return next(result for result in report.checks if result.check.id == name)


def ids(report: Report, *statuses: str) -> set[str]:
    return {result.check.id for result in report.checks if result.status in statuses}


def families(report: Report, *prefixes: str) -> set[str]:
    return {result.status for result in report.checks if result.check.id.startswith(prefixes)}
