"""A flawed server whose answers are changed on the way, for what no switch can say."""

from collections.abc import Callable
from typing import Any

import httpx2
from flawed_server import FlawedServer
from flawed_state import PASSWORD, USER

from oauth_server.compliance import LIMITS, Report, Result, SpecVersion, audit
from oauth_server.compliance.form_visitor import FormVisitor
from oauth_server.outbound import Outbound

BASE = "https://mcp.example"
Change = Callable[[httpx2.Request, httpx2.Response], httpx2.Response]


async def at_once(seconds: float) -> None:
    """Wait for nothing."""


def odd(server: FlawedServer, change: Change) -> Outbound:
    """Return a client of the server that sees changed answers."""
    inner = server.transport()

    async def answer(request: httpx2.Request) -> httpx2.Response:
        response = await inner.handle_async_request(request)
        await response.aread()
        plain = httpx2.Response(response.status_code, headers=response.headers, content=response.content)
        return change(request, plain)

    return Outbound(transport=httpx2.MockTransport(answer), limits=LIMITS["adversarial"])


async def judged(
    change: Change, flaw: str = "", spec_version: SpecVersion = "2026-07-28", **options: Any
) -> tuple[Report, FlawedServer]:
    """Judge the changed server with somebody who signs in."""
    server = FlawedServer(flaw, BASE)
    outbound = odd(server, change)
    options = {"visitor": FormVisitor(outbound, USER, PASSWORD), **options}
    report = await audit(
        f"{BASE}/mcp", outbound=outbound, depth="adversarial", spec_version=spec_version, sleep=at_once, **options
    )
    return report, server


def same(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
    """Change nothing."""
    return response


def result(report: Report, name: str) -> Result:
    """Return what became of one check."""
    return next(result for result in report.checks if result.check.id == name)


def status(report: Report, name: str) -> str:
    """Return the status of one check."""
    return result(report, name).status
