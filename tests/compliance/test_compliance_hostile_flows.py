"""A server that turns hostile in the middle of a flow cannot crash, hang or mislead the auditor, nor make it print secrets."""

import json
import random
from typing import Any

import httpx2
import pytest
from flawed_server import FlawedServer
from flawed_state import PASSWORD, USER
from test_compliance_hostile import ESCAPES, ODD

from oauth_server.compliance import LIMITS, Report, audit
from oauth_server.compliance.form_visitor import FormVisitor
from oauth_server.outbound import Outbound

TARGET = "https://mcp.example/mcp"
STATUSES = (200, 201, 204, 302, 307, 400, 401, 403, 404, 405, 500, 503)
LOCATIONS = (
    "",
    "//",
    "http://[",
    "javascript:alert(1)",
    "https://elsewhere.example/",
    "/authorize",
    "?code=x",
    "#code=x",
)


class Turncoat(httpx2.AsyncBaseTransport):
    """Answers as the right server does, but spoils one answer in `often`."""

    def __init__(self, seed: int, often: int) -> None:
        self.inner = FlawedServer().transport()
        self.random = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self.often = often
        self.secrets: set[str] = set()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Pass the request on, and spoil what comes back."""
        response = await self.inner.handle_async_request(request)
        body = b"".join([chunk async for chunk in response.stream])
        self.note(body)
        status, headers = response.status_code, list(response.headers.multi_items())
        if self.random.randrange(self.often) == 0:
            status, headers, body = self.spoilt(status, headers, body)
        headers = [(name, value) for name, value in headers if name.lower() != "content-length"]
        return httpx2.Response(status, headers=headers, content=body)

    def note(self, body: bytes) -> None:
        """Remember what no report may repeat."""
        try:
            members = json.loads(body)
        except ValueError:
            return
        if isinstance(members, dict):
            names = ("access_token", "refresh_token", "id_token", "client_secret", "registration_access_token")
            self.secrets |= {members[name] for name in names if isinstance(members.get(name), str)}

    def spoilt(
        self, status: int, headers: list[tuple[str, str]], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Return an answer that no client expects."""
        kind = self.random.randrange(5)
        if kind == 0:
            status = self.random.choice(STATUSES)
        elif kind == 1:
            body = self.random.choice(
                [b"", b"{", b"[" * 10_000, body[: len(body) // 2], ESCAPES.encode(errors="replace")]
            )
        elif kind == 2:
            body = json.dumps(self.odd_members(body)).encode()
        elif kind == 3:
            headers = [*headers, ("Location", self.random.choice(LOCATIONS)), ("Set-Cookie", "a=b; Domain=.example")]
            status = self.random.choice([302, 303, 307])
        else:
            headers = [(name, self.random.choice(['Bearer a="', "", "x" * 5000, "text/html"])) for name, _ in headers]
        return status, headers, body

    def odd_members(self, body: bytes) -> Any:
        """Put something odd in the place of one or of all members."""
        try:
            members = json.loads(body)
        except ValueError:
            return self.random.choice(ODD)
        if not isinstance(members, dict) or not members:
            return self.random.choice(ODD)
        chosen = self.random.choice([list(members), [self.random.choice(list(members))]])
        return members | {name: self.random.choice(ODD) for name in chosen}


async def judged(seed: int, often: int) -> tuple[Report, Turncoat]:
    """Judge a turncoat, as its operator would."""
    turncoat = Turncoat(seed, often)
    outbound = Outbound(transport=turncoat, limits=LIMITS["adversarial"])

    async def at_once(seconds: float) -> None:
        """Wait for nothing."""

    report = await audit(
        TARGET,
        outbound=outbound,
        depth="adversarial",
        visitor=FormVisitor(outbound, USER, PASSWORD),
        sleep=at_once,
    )
    return report, turncoat


@pytest.mark.parametrize("often", [1, 3, 20])
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.requirement("attack-77")
async def test_a_server_that_turns_hostile_ends_in_a_report_without_secrets(seed: int, often: int) -> None:
    report, turncoat = await judged(seed, often)
    printed = report.text() + json.dumps(report.as_dict(), ensure_ascii=False)
    assert not [result.summary for result in report.checks if "check itself failed" in result.summary]
    assert "\x1b" not in printed
    assert "\u202e" not in printed
    assert PASSWORD not in printed
    assert not [secret for secret in turncoat.secrets if len(secret) > 12 and secret in printed]
