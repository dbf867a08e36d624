"""Messages of each version, and what is beneath them, from servers that are right in another way, or quite wrong."""

import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from auditing import BASE, ids, result, run
from flawed_documents import document
from flawed_messages import Messages
from flawed_server import FlawedServer
from starlette.requests import Request
from starlette.responses import Response

from oauth_server.compliance import SpecVersion, audit, talk
from oauth_server.compliance.messages import request
from oauth_server.compliance.model import Exchange
from oauth_server.outbound import Answer, Outbound


@pytest.mark.parametrize(
    ("switch", "version", "found"),
    [
        ("session-same", "2025-11-25", {"session-random"}),
        ("session-short", "2025-06-18", {"session-random"}),
        ("transport-no-batch", "2025-03-26", set()),
        ("transport-batch", "2025-06-18", set()),
        ("transport-discover", "2025-11-25", set()),
        ("transport-initialize", "2026-07-28", set()),
    ],
)
async def test_each_version_has_its_own_transport(switch: str, version: SpecVersion, found: set[str]) -> None:
    assert ids(await run(switch, version=version), "fail", "warn", "error") == found


async def test_a_server_of_another_version_is_found_once_and_not_by_every_check() -> None:
    report = await run("transport-discover")
    assert ids(report, "fail", "warn", "error") == {"transport-discover"}
    assert "without a result" in result(report, "transport-header-missing").summary


async def test_a_server_that_offers_another_version_is_not_judged_by_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Messages.result

    def other(self: Messages, message: Any, scopes: frozenset[str]) -> dict[str, Any]:
        return {**right(self, message, scopes), "protocolVersion": "2024-11-05"}

    monkeypatch.setattr(Messages, "result", other)
    report = await run(version="2025-06-18")
    assert ids(report, "fail", "warn", "error") == set()
    assert result(report, "transport-initialize").status == "pass"
    assert "'2024-11-05' instead" in result(report, "transport-version-refused").summary


async def test_a_stream_that_older_versions_have_is_no_flaw_of_a_server_that_speaks_both() -> None:
    server = FlawedServer("transport-get-405")
    server.resource.messages.flaw = ""
    assert result(await run(server=server), "transport-get-405").status == "skip"


@pytest.mark.parametrize(
    "body",
    [
        b"data: {\r\ndata: }\r\n\r\n",
        b"data: [[[[\n\n" * 50,
        b"event: x\rdata:{}\r\r",
        b"[" * 100_000,
        b"\xff\xfe",
        b'{"id": 1, "result": []}',
        b'{"id": 1, "error": {"code": "x", "message": 7, "data": []}}',
        b'[{"id": 1, "result": {"tools": {}, "resources": [7], "ttlMs": "x", "supportedVersions": 1}}, 7]',
        b'{"id": 1, "result": {"protocolVersion": [], "isError": true, "content": 1e999}}',
        b'{"id": 1, "result": {"resources": [{"uri": "\xc3\xa9\\u0000"}], "tools": [{"name": []}], "ttlMs": '
        + b"9" * 5000
        + b"}}",
    ],
    ids=range(10),
)
@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream", "text/html"])
@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
async def test_messages_of_any_shape_upset_no_check(
    monkeypatch: pytest.MonkeyPatch, body: bytes, content_type: str, version: SpecVersion
) -> None:
    def answer(self: Messages, request: Request, content: bytes, scopes: frozenset[str]) -> Response:
        headers = [(b"mcp-session-id", b"\xe9\x01"), (b"content-type", content_type.encode())]
        response = Response(body)
        response.raw_headers = headers
        return response

    monkeypatch.setattr(Messages, "answer", answer)
    report = await run(version=version)
    assert not [item.summary for item in report.checks if "check itself failed" in item.summary]
    json.dumps(report.as_dict())


def test_the_name_of_a_request_is_repeated_as_the_transport_has_it() -> None:
    def named(method: str, **params: Any) -> str | None:
        return request("2026-07-28", method, params)[0].get("Mcp-Name")

    assert named("tools/call", name="search") == "search"
    assert named("resources/read", uri="file:///ä") == "=?base64?ZmlsZTovLy/DpA==?="
    assert named("prompts/get", name=" padded ") == "=?base64?IHBhZGRlZCA=?="
    assert named("tools/call", name="=?base64?literal?=") == "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="
    assert named("tools/list") is None
    assert request("2025-11-25", "tools/call", {"name": "search"})[0].get("Mcp-Name") is None


def _answered(body: bytes, content_type: str = "text/event-stream") -> Exchange:
    return Exchange("POST", Answer(BASE, 200, (("Content-Type", content_type),), body, truncated=False, elapsed=0))


def test_the_result_of_a_stream_is_the_one_that_answers_the_request() -> None:
    stream = b'event: message\ndata: {"method": "notifications/progress"}\n\ndata: {"id": 2, "result": {}}\n\n'
    assert talk.result_of(_answered(stream)) is None
    assert talk.result_of(_answered(stream + b'data: {"id": 1,\ndata: "result": {"a": 1}}\n\n')) == {"a": 1}
    assert talk.code_of(_answered(b'{"error": {"code": true}}', "application/json")) is None


class _Spoken(httpx2.AsyncBaseTransport):
    """Answers like the flawed server, over a TLS of its own."""

    def __init__(self, version: str) -> None:
        self.inner, self.spoken = FlawedServer().transport(), version

    def version(self) -> str:
        """Return what Python's ssl calls it."""
        return self.spoken

    def get_extra_info(self, name: str) -> object:
        """Return the TLS object of the connection, as httpcore does."""
        return self if name == "ssl_object" else None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer."""
        response = await self.inner.handle_async_request(request)
        response.extensions["network_stream"] = self
        return response


@pytest.mark.parametrize(("spoken", "status"), [("TLSv1.3", "pass"), ("TLSv1.2", "warn")])
async def test_the_version_of_tls_is_that_of_the_connection(spoken: str, status: str) -> None:
    report = await audit(f"{BASE}/mcp", outbound=Outbound(transport=_Spoken(spoken)))
    judged = result(report, "transport-tls-version")
    assert (judged.status, spoken in judged.summary) == (status, True)


Reply = Callable[[httpx2.Request], httpx2.Response]


def _redirecting(location: str) -> Reply:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/mcp/":
            return httpx2.Response(307, headers={"Location": location})
        if "protected-resource" in request.url.path:
            return httpx2.Response(200, json=document("prm", BASE, ""))
        return httpx2.Response(401, headers={"WWW-Authenticate": "Bearer"})

    return answer


@pytest.mark.parametrize(
    ("location", "status"),
    [
        ("/mcp", "pass"),
        (f"{BASE}/mcp", "pass"),
        ("../mcp", "pass"),
        ("http://mcp.example/mcp", "warn"),
        ("//evil.example/mcp", "warn"),
        ("https://mcp.example:8443/mcp", "warn"),
        ("http://[", "warn"),
        ("javascript:alert(1)", "warn"),
    ],
)
async def test_a_slash_leads_to_the_same_origin_or_is_found(location: str, status: str) -> None:
    outbound = Outbound(transport=httpx2.MockTransport(_redirecting(location)))
    report = await audit(f"{BASE}/mcp", outbound=outbound, depth="active")
    assert result(report, "transport-trailing-slash").status == status


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("/.well-known/oauth-authorization-server/tenant", {("asm-found", "pass"), ("asm-at-inserted-path", "pass")}),
        ("/tenant/.well-known/openid-configuration", {("asm-found", "pass"), ("asm-at-inserted-path", "warn")}),
        ("/.well-known/oauth-authorization-server", {("asm-found", "fail"), ("asm-at-inserted-path", "skip")}),
    ],
)
async def test_metadata_of_an_issuer_with_a_path_is_found_where_clients_look(
    place: str, found: set[tuple[str, str]]
) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/.well-known/oauth-protected-resource/mcp":
            return httpx2.Response(200, json={"resource": f"{BASE}/mcp", "authorization_servers": [f"{BASE}/tenant"]})
        if request.url.path == place:
            return httpx2.Response(200, json={**document("asm", BASE, ""), "issuer": f"{BASE}/tenant"})
        return httpx2.Response(401 if request.url.path == "/mcp" else 404)

    report = await audit(f"{BASE}/mcp", outbound=Outbound(transport=httpx2.MockTransport(answer)))
    assert {(name, result(report, name).status) for name, _ in found} == found
