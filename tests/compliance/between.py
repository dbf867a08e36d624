"""A flawed server with somebody between it and the auditor, who changes its answers."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
from flawed_server import FlawedServer
from flawed_state import PASSWORD, USER

from oauth_server.compliance import LIMITS, Report, audit
from oauth_server.compliance.form_visitor import FormVisitor
from oauth_server.compliance.model import Depth
from oauth_server.compliance.parties import Client
from oauth_server.outbound import Outbound

HTTPS = "https://mcp.example"
Answerer = Callable[[httpx2.Request], httpx2.Response | None]


class Between(httpx2.AsyncBaseTransport):
    """The flawed server, but for what `answer` answers instead, or makes of its answers."""

    def __init__(
        self,
        answer: Answerer | None = None,
        made: Callable[[httpx2.Request, int, Any], Any] | None = None,
        flaw: str = "",
    ) -> None:
        self.server = FlawedServer(flaw)
        self._inner, self._answer, self._made = self.server.transport(), answer, made

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        instead = self._answer(request) if self._answer else None
        if instead is not None:
            return instead
        response = await self._inner.handle_async_request(request)
        if self._made is None:
            return response
        body = await response.aread()
        try:
            members = json.loads(body)
        except ValueError:
            members = None
        made = self._made(request, response.status_code, members)
        if made is None:
            return httpx2.Response(response.status_code, headers=response.headers, content=body)
        headers = {name: value for name, value in response.headers.items() if name != "content-length"}
        return httpx2.Response(response.status_code, headers=headers, content=made)


async def run(
    transport: Between,
    depth: Depth = "adversarial",
    sleep: Callable[[float], Awaitable[object]] | None = None,
    client: Client | None = None,
    *,
    visited: bool = True,
) -> Report:
    async def at_once(seconds: float) -> None:
        if seconds > 30:
            transport.server.state.waited = True

    outbound = Outbound(transport=transport, limits=LIMITS["adversarial"])
    visitor = FormVisitor(outbound, USER, PASSWORD) if visited else None
    return await audit(
        f"{HTTPS}/mcp", outbound=outbound, depth=depth, visitor=visitor, client=client, sleep=sleep or at_once
    )


def statuses(report: Report) -> dict[str, str]:
    return {result.check.id: result.status for result in report.checks}


def summary(report: Report, name: str) -> str:
    return next(result.summary for result in report.checks if result.check.id == name)
