"""A hostile server cannot crash, hang or mislead the auditor: every run ends with a report that is safe to print."""

import asyncio
import json
import time
import unicodedata
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from flawed_documents import TOKEN, document
from flawed_server import WELL_KNOWN, FlawedServer
from flawed_state import PASSWORD, USER

from oauth_server.compliance import LIMITS, Depth, Report, audit
from oauth_server.compliance.form_visitor import FormVisitor
from oauth_server.compliance.model import DEPTHS
from oauth_server.outbound import Limits, Outbound

TARGET = "https://mcp.example/mcp"
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp\u2066\r\nPASS everything\x00\ud800"
ODD: list[Any] = [
    None,
    1,
    -1.5,
    True,
    "",
    "x",
    ESCAPES,
    [],
    [[]],
    {},
    {"a": [{}]},
    ["a", 1, None, {}],
    [{}],
    "http://[",
    "https://a:b/",
    "//",
    10**400,
]


async def judged(answer: Callable[[httpx2.Request], httpx2.Response], **options: Any) -> Report:
    outbound = Outbound(transport=httpx2.MockTransport(answer), limits=Limits(body=100_000))
    report = await audit(TARGET, outbound=outbound, depth="active", access_token=TOKEN, **options)
    json.dumps(report.as_dict())
    printed = report.text()
    assert not {unicodedata.category(c) for c in printed if c != "\n"} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert not [result.summary for result in report.checks if "check itself failed" in result.summary]
    assert TOKEN not in printed
    return report


def passed(report: Report) -> set[str]:
    return {result.check.id for result in report.checks if result.status == "pass"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"[" * 50_000,
        b'{"a":' * 50_000,
        b"\xff\xfe",
        b"x" * 200_000,
        ESCAPES.encode(errors="surrogatepass"),
        b'{"issuer": NaN}',
        b"9" * 10_000,
    ],
)
@pytest.mark.parametrize("status", [200, 401, 500])
async def test_a_body_that_is_no_document_ends_in_a_report(body: bytes, status: int) -> None:
    headers = {"WWW-Authenticate": "Bearer", "Content-Type": "application/json"}
    report = await judged(lambda _: httpx2.Response(status, headers=headers, content=body))
    assert not {"prm-found", "asm-found"} & passed(report)


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd)[:20])
@pytest.mark.parametrize("name", ["prm", "asm", "oidc", "jwks", "key"])
async def test_members_of_any_type_end_in_a_report(name: str, odd: Any) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        which = WELL_KNOWN.get(request.url.path)
        if which is None:
            header = f'Bearer resource_metadata="{TARGET.replace("/mcp", "/.well-known/oauth-protected-resource/mcp")}"'
            return httpx2.Response(401, headers={"WWW-Authenticate": header})
        members = document(which, "https://mcp.example", "")
        if which.startswith(name):
            members = dict.fromkeys(members, odd)
        if which == "jwks" and name == "key":
            members = {"keys": [dict.fromkeys(key, odd) for key in members["keys"]] + [odd]}
        return httpx2.Response(200, content=json.dumps(members).encode())

    await judged(answer)


@pytest.mark.parametrize(
    "header",
    [
        "",
        ",,,",
        "Bearer",
        "Bearer ",
        "Bearer =",
        'Bearer a="',
        'Bearer a="\\',
        "=",
        "Bearer " * 5000,
        " " * 50_000,
        'Bearer resource_metadata="http://[::1"',
        'Bearer resource_metadata="javascript:alert(1)"',
        'Bearer error="\x1b[2J"',
        '"' * 9000,
        "Bearer " + "a=b," * 20_000,
    ],
)
async def test_a_challenge_of_any_shape_ends_in_a_report(header: str) -> None:
    started = time.monotonic()
    await judged(lambda _: httpx2.Response(401, headers={"WWW-Authenticate": header}))
    assert time.monotonic() - started < 3


async def test_escape_sequences_are_made_inert() -> None:
    quoted = ESCAPES.replace("\r\n", " ").replace("\x00", "").encode(errors="replace").decode()
    headers = [(b"WWW-Authenticate", f'Bearer scope="{quoted}"'.encode()), (b"Content-Type", b"text/html\x1b[2J")]
    body = json.dumps({"issuer": ESCAPES, "resource": ESCAPES, "authorization_servers": [ESCAPES]}).encode()
    report = await judged(
        lambda r: httpx2.Response(200 if "well-known" in r.url.path else 401, headers=headers, content=body)
    )
    assert "\\x1b" in report.text()
    assert "\nPASS everything" not in report.text()


async def test_redirects_in_a_circle_are_not_followed() -> None:
    count = 0

    def answer(request: httpx2.Request) -> httpx2.Response:
        nonlocal count
        count += 1
        return httpx2.Response(302, headers={"Location": str(request.url)})

    assert not {"prm-found", "challenge-status", "authorize-unknown-client"} & passed(await judged(answer))
    assert count < 60


async def test_a_server_that_never_answers_is_left_in_time() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(600)

    started = time.monotonic()
    outbound = Outbound(transport=httpx2.ASGITransport(app), limits=Limits(seconds=0.1))
    report = await audit(TARGET, outbound=outbound, depth="active")
    assert time.monotonic() - started < 5
    assert passed(report) == set()
    (status,) = (result for result in report.checks if result.check.id == "challenge-status")
    assert status.status == "error"
    assert "no complete answer within 0.1 seconds" in status.summary


async def test_the_time_of_the_whole_run_is_bounded() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(600)

    started = time.monotonic()
    report = await audit(TARGET, outbound=Outbound(transport=httpx2.ASGITransport(app)), seconds=0.3)
    assert time.monotonic() - started < 3
    assert passed(report) == set()
    assert sum("0.3 seconds were over" in result.summary for result in report.checks) > 40


async def test_the_budget_of_requests_is_kept() -> None:
    server = FlawedServer()
    outbound = Outbound(transport=server.transport(), limits=Limits(requests=3))
    report = await audit(TARGET, outbound=outbound, depth="active")
    assert len(server.requests) == 3
    assert any("budget of 3 requests" in result.summary for result in report.checks)


@pytest.mark.parametrize("depth", DEPTHS)
async def test_a_run_takes_no_more_than_half_of_its_budget(depth: Depth) -> None:
    server = FlawedServer()
    outbound = Outbound(transport=server.transport(), limits=LIMITS[depth])
    visitor = FormVisitor(outbound, USER, PASSWORD)
    await audit(TARGET, outbound=outbound, depth=depth, access_token=TOKEN, visitor=visitor, sleep=at_once)
    assert len(server.requests) <= LIMITS[depth].requests / 2


async def at_once(seconds: float) -> None:
    """Wait for nothing: the flawed server has no clock."""


@pytest.mark.requirement("attack-77")
async def test_metadata_that_leads_to_an_internal_address_is_not_fetched() -> None:
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["169.254.169.254"]

    report = await audit(TARGET, outbound=Outbound(resolve=resolve), depth="active")
    assert set(asked) == {"mcp.example"}
    assert passed(report) == set()
    assert any("not globally routable" in result.summary for result in report.checks)


async def test_an_exception_in_a_check_is_an_error_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("oauth_server.compliance.checks.authorization_server._no_urls", explode)
    report = await audit(TARGET, outbound=Outbound(transport=FlawedServer().transport()))
    errors = [(result.check.id, result.summary) for result in report.checks if result.status == "error"]
    assert errors == [("asm-second-opinion", "the check itself failed: RuntimeError: boom")]
    assert len(passed(report)) > 40


@pytest.mark.parametrize(
    "target", ["", "mcp.example", "ftp://mcp.example", "https://", "javascript:alert(1)", "https://a b"]
)
async def test_a_target_that_is_no_url_is_a_value_error(target: str) -> None:
    with pytest.raises(ValueError, match="absolute http or https URL"):
        await audit(target, outbound=Outbound())
