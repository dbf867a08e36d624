"""DNS rebinding and foreign browser origins: which Host and Origin the server answers, and what CORS lets a page read."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest
from sqlalchemy import Connection
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from oauth_server.store.records import AuditEvent
from oauth_server.store.verbs.audit import newest
from tests.conftest import MakeServer
from tests.support.databases import Template
from tests.support.mcp_http import ERAS, Era, ask, headers_for, message, result, token_for
from tests.support.server import Running, running

PATHS = ("/mcp", "/oauth/token", "/oauth/authorize", "/.well-known/oauth-authorization-server", "/oauth/test", "/none")
EVIL = "https://evil.example"
FRIEND = "https://app.example"
NAMED = ("/mcp", "/oauth/token", "/oauth/register", "/oauth/revoke", "/oauth/userinfo")
DOCUMENTS = (
    "oauth-protected-resource",
    "oauth-protected-resource/mcp",
    "oauth-authorization-server",
    "openid-configuration",
    "jwks.json",
)


@pytest.fixture(scope="module")
async def server(template: Template, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """A server on which the pages of one other origin may call."""
    env = {"MCP_OAUTH_ALLOW_ORIGINS": FRIEND}
    async with running(template, tmp_path_factory.mktemp("guard"), env) as found:
        yield found


@pytest.fixture
async def http(server: Running) -> AsyncIterator[httpx2.AsyncClient]:
    async with server.client() as found:
        yield found


async def _raw(port: int, request: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.encode("latin-1"))
    async with asyncio.timeout(5):
        line = (await reader.readline()).decode()
    writer.close()
    await writer.wait_closed()
    return line


HOSTS = [
    "evil.example", "evil.example:{port}", "localhost.evil.example", "localhost.evil.example:{port}", "127.0.0.1.nip.io:{port}",
    "localhost,evil.example", "10.0.0.1:{port}", "0.0.0.0:{port}", "[::2]:{port}", "", ":{port}", "xn--localhost-",
    "localhost%00.evil.example", "[v1.localhost]", "under_score.example", "localhost.:{port}", "evil.example:", "a" * 300,
]  # fmt: skip
INVALID = [
    "evil.example@localhost:{port}", "localhost@evil.example", "localhost:{port}@evil.example", "evil.example/localhost",
    "localhost/evil", "localhost?evil", "localhost#evil", "localhost\\evil", "[::1", "[", "::1", "[localhost]:{port}", "[::1]evil",
    "localhost:evil", "localhost:{port}:1", "localhost evil", "localhost%0g", "evil%", "http://localhost:{port}", "l\u00f6calhost",
    "\u00b9\u00b2\u00b7.0.0.1", "localhost:\u00b2", '"localhost"', "<localhost>", "localhost:{port},localhost:{port}",
]  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.requirement("attack-67", "TR-13")
async def test_a_request_for_another_host_is_misdirected_whatever_it_asks(
    server: Running, http: httpx2.AsyncClient, host: str
) -> None:
    for path in PATHS:
        for method in ("GET", "POST", "OPTIONS"):
            reply = await http.request(method, path, headers={"Host": host.format(port=server.port)})
            assert reply.status_code == 421, (method, path)
            assert "evil" not in reply.text
            assert "access-control-allow-origin" not in reply.headers


@pytest.mark.parametrize("host", INVALID)
@pytest.mark.requirement("attack-67", "TR-13")
async def test_a_host_that_can_be_none_is_a_bad_request(server: Running, http: httpx2.AsyncClient, host: str) -> None:
    sent = host.format(port=server.port).encode("latin-1")
    for path in (*PATHS, "/healthz", "/readyz"):
        for method in ("GET", "POST", "OPTIONS"):
            reply = await http.request(method, path, headers={b"Host": sent})
            assert (reply.status_code, reply.json()["error"]) == (400, "invalid_request"), (method, path)
            assert "evil" not in reply.text
            assert "access-control-allow-origin" not in reply.headers


@pytest.mark.requirement("attack-67", "TR-13")
async def test_a_good_token_does_not_make_up_for_the_host(server: Running, http: httpx2.AsyncClient) -> None:
    token = await token_for(server, "mcp:admin")
    reply = await ask(http, "modern", "tools/list", token=token, headers={"Host": "evil.example"})
    assert reply.status_code == 421


@pytest.mark.parametrize("path", ["/mcp", "/oauth/token", "/healthz"])
@pytest.mark.requirement("attack-67")
async def test_a_request_has_one_host_field(server: Running, path: str) -> None:
    own = f"Host: localhost:{server.port}\r\n"
    for headers in ("", own + "Host: evil.example\r\n", "Host: evil.example\r\n" + own, own + own):
        assert " 400 " in await _raw(server.port, f"GET {path} HTTP/1.1\r\n{headers}\r\n"), headers
    assert " 400 " in await _raw(server.port, f"GET {path} HTTP/1.0\r\n{own}{own}\r\n")
    # HTTP/1.0 has no such rule; whose address was meant is not known then, which matters everywhere but for the health.
    nowhere = " 200 " if path == "/healthz" else " 421 "
    assert nowhere in await _raw(server.port, f"GET {path} HTTP/1.0\r\n\r\n")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.requirement("attack-67")
async def test_a_load_balancer_may_ask_for_the_health_by_any_name(http: httpx2.AsyncClient, path: str) -> None:
    for host in ("evil.example", "10.1.2.3:8000", "mcp-server"):
        reply = await http.get(path, headers={"Host": host})
        assert reply.status_code == 200
        assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "host", ["localhost:{port}", "127.0.0.1:{port}", "[::1]:{port}", "LOCALHOST:{port}", "localhost:9"]
)
@pytest.mark.requirement("attack-67")
async def test_loopback_names_are_served_with_any_port_since_a_container_may_publish_another(
    server: Running, http: httpx2.AsyncClient, host: str
) -> None:
    assert (await http.get("/mcp", headers={"Host": host.format(port=server.port)})).status_code == 401


@pytest.mark.requirement("attack-67")
async def test_the_hosts_of_issuer_and_resources_are_served(make_server: MakeServer) -> None:
    env = {
        "MCP_OAUTH_ISSUER": "https://auth.example.com",
        "MCP_OAUTH_RESOURCE_URI": "https://mcp.example.com https://other.example:8443/api",
    }
    async with make_server(**env) as server, httpx2.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as http:
        for host, status in {
            "auth.example.com": 401, "mcp.example.com": 401, "other.example:8443": 401, "AUTH.example.com": 401,
            "other.example": 421, "auth.example.com:8000": 421, "auth.example.com.evil.example": 421, "example.com": 421,
        }.items():  # fmt: skip
            reply = await http.get("/mcp", headers={"Host": host})
            assert reply.status_code == status, host
            if status == 401:
                assert reply.headers["strict-transport-security"].startswith("max-age=")
                assert (
                    "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"
                    in reply.headers["www-authenticate"]
                )


async def _fails(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise RuntimeError("a defect of this server")


@pytest.mark.parametrize("issuer", ["https://auth.example.com", "http://localhost:8000"])
@pytest.mark.requirement("attack-68")
async def test_no_answer_over_https_goes_without_hsts(make_server: MakeServer, issuer: str) -> None:
    env = {"MCP_OAUTH_ISSUER": issuer, "MCP_OAUTH_ALLOW_ORIGINS": FRIEND}
    own = {"Host": issuer.partition("//")[2]}
    asking = {**own, "Origin": FRIEND, "Access-Control-Request-Method": "POST"}
    async with make_server(**env) as server, httpx2.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as http:
        face = server.server._face
        assert face is not None
        replies = {
            401: await http.post("/mcp", headers=own),
            421: await http.post("/mcp", headers={"Host": "evil.example"}),
            403: await http.post("/mcp", headers={**own, "Origin": EVIL}),
            204: await http.options("/mcp", headers=asking),
            404: await http.options("/", headers=own, extensions={"target": b"*"}),
        }
        assert replies[204].headers["access-control-allow-origin"] == FRIEND
        for path, origin in (("/oauth/token", FRIEND), ("/oauth/authorize", None), ("/.well-known/jwks.json", "*")):
            (route,) = [r for r in face.routes if isinstance(r, Route) and r.path == path]
            route.app = _fails
            failed = await http.post(path, headers={**own, "Origin": FRIEND})
            assert (failed.status_code, failed.json()["error"]) == (500, "server_error")
            assert failed.headers.get("access-control-allow-origin") == origin
            assert failed.headers["x-request-id"]
            replies[500] = failed
            for status, reply in replies.items():
                assert reply.status_code == status
                hsts = reply.headers.get_list("strict-transport-security")
                assert hsts == (["max-age=31536000"] if issuer.startswith("https") else []), status


FORWARDED = {
    "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "X-Forwarded-For": "10.9.8.7", "X-Forwarded-Port": "1",
    "Forwarded": 'for=10.9.8.7;host="evil.example";proto=https', "X-Real-IP": "10.9.8.7", "X-Original-Host": "evil.example",
}  # fmt: skip


@pytest.mark.requirement("attack-67", "AS-06")
async def test_forwarding_headers_of_nobody_trusted_change_nothing(server: Running, http: httpx2.AsyncClient) -> None:
    for path in ("/mcp", "/oauth/test", *(f"/.well-known/{name}" for name in DOCUMENTS)):
        plain, forwarded = await http.get(path), await http.get(path, headers=FORWARDED)
        assert (forwarded.status_code, forwarded.content) == (plain.status_code, plain.content)
        assert forwarded.headers.get("www-authenticate") == plain.headers.get("www-authenticate")
        assert "evil" not in forwarded.text
    assert (
        await http.get("/mcp", headers={"Host": "evil.example", "X-Forwarded-Host": "localhost"})
    ).status_code == 421
    before = len(await server.services.store.read(_events))
    await http.post("/oauth/register", json={"redirect_uris": ["http://localhost/cb"]}, headers=FORWARDED)
    rows = await server.services.store.read(_events)
    assert len(rows) == before + 1
    assert rows[0].address == "127.0.0.1"


def _events(connection: Connection) -> list[AuditEvent]:
    return newest(connection, 1000)


FOREIGN = (
    EVIL,
    "null",
    "http://localhost.evil.example",
    "http://evil.localhost",
    "http://localhost@evil.example",
    "http://localhost:x",
    "http://localhost:6274/",
    "http://localhost:6274 http://localhost:6274",
    "app://localhost",
    "localhost:6274",
    f"{FRIEND}.evil.example",
    f"{FRIEND}/",
    "",
    "file://",
)


@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize("era", ERAS)
@pytest.mark.requirement("attack-67", "TR-13", "attack-68")
async def test_pages_of_a_foreign_origin_cannot_call_mcp_even_with_a_token(
    server: Running, http: httpx2.AsyncClient, era: Era, origin: str
) -> None:
    sent = {"Origin": origin.format(port=server.port)}
    for token in (None, await token_for(server, "mcp:admin")):
        reply = await ask(http, era, "tools/list", token=token, headers=sent)
        assert reply.status_code == 403
        assert "access-control-allow-origin" not in reply.headers
        assert "www-authenticate" not in reply.headers
    preflight = await http.options("/mcp", headers={**sent, "Access-Control-Request-Method": "POST"})
    assert preflight.status_code == 403
    assert "access-control-allow-origin" not in preflight.headers


@pytest.mark.parametrize(
    "origin", [FRIEND, "http://localhost:{port}", "http://127.0.0.1:{port}", "http://[::1]:{port}"]
)
@pytest.mark.parametrize("era", ERAS)
@pytest.mark.requirement("attack-68", "TR-13")
async def test_an_allowed_page_can_call_and_read_the_challenge(
    server: Running, http: httpx2.AsyncClient, era: Era, origin: str
) -> None:
    origin = origin.format(port=server.port)
    refused = await ask(http, era, "tools/list", headers={"Origin": origin})
    served = await ask(http, era, "tools/list", token=await token_for(server, "mcp:read"), headers={"Origin": origin})
    assert (refused.status_code, len(result(served)["tools"])) == (401, 6)
    for reply in (refused, served):
        assert reply.headers["access-control-allow-origin"] == origin
        assert "www-authenticate" in reply.headers["access-control-expose-headers"].lower().split(", ")
        assert "origin" in reply.headers["vary"].lower()
        assert "access-control-allow-credentials" not in reply.headers


@pytest.mark.parametrize("path", NAMED)
@pytest.mark.requirement("attack-68")
async def test_a_preflight_needs_no_token_and_allows_what_the_call_will_send(
    http: httpx2.AsyncClient, path: str
) -> None:
    wanted = "authorization, content-type, mcp-protocol-version, mcp-method, mcp-name"
    asked = {"Origin": FRIEND, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": wanted}
    reply = await http.options(path, headers=asked)
    assert (reply.status_code, reply.content) == (204, b"")
    assert reply.headers["access-control-allow-origin"] == FRIEND
    assert "POST" in reply.headers["access-control-allow-methods"]
    assert reply.headers["access-control-allow-headers"] == wanted
    assert "origin" in reply.headers["vary"].lower()
    assert "access-control-allow-credentials" not in reply.headers


@pytest.mark.parametrize("path", [*NAMED[1:], "/oauth/authorize", "/oauth/logout", "/healthz", "/none"])
@pytest.mark.requirement("attack-68", "regression-9")
async def test_a_foreign_page_reads_nothing_but_discovery(http: httpx2.AsyncClient, path: str) -> None:
    preflight = await http.options(path, headers={"Origin": EVIL, "Access-Control-Request-Method": "POST"})
    for reply in (
        preflight,
        await http.get(path, headers={"Origin": EVIL}),
        await http.post(path, headers={"Origin": EVIL}),
    ):
        assert not [name for name in reply.headers if name.startswith("access-control-allow")]


@pytest.mark.parametrize("path", ["/oauth/authorize", "/oauth/logout"])
@pytest.mark.requirement("attack-68")
async def test_not_even_an_allowed_origin_reads_the_pages_of_the_person(http: httpx2.AsyncClient, path: str) -> None:
    for origin in (FRIEND, str(http.base_url).rstrip("/")):
        assert "access-control-allow-origin" not in (await http.get(path, headers={"Origin": origin})).headers


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.requirement("attack-68", "regression-9", "AS-02")
async def test_discovery_is_for_every_origin_without_credentials(http: httpx2.AsyncClient, document: str) -> None:
    path = f"/.well-known/{document}"
    asked = {
        "Origin": EVIL,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "mcp-protocol-version",
    }
    preflight = await http.options(path, headers=asked)
    assert (preflight.status_code, preflight.headers["access-control-allow-headers"]) == (204, "mcp-protocol-version")
    for reply in (preflight, await http.get(path), await http.get(path, headers={"Origin": EVIL})):
        assert reply.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in reply.headers
        assert "set-cookie" not in reply.headers


@pytest.mark.requirement("attack-67", "TR-13", "RS-14")
async def test_without_configuration_only_the_own_origin_is_allowed(make_server: MakeServer) -> None:
    async with make_server() as alone, alone.client() as http:
        sent = headers_for("modern", "tools/list", None, await token_for(alone, "mcp:read"))
        for origin, status in ((FRIEND, 403), (alone.url, 200)):
            reply = await http.post("/mcp", json=message("modern", "tools/list"), headers={**sent, "Origin": origin})
            assert reply.status_code == status


LOOPBACK = (
    "http://localhost:6274",
    "http://127.0.0.1:6274",
    "http://127.8.8.8",
    "http://[::1]:6274",
    "https://localhost:6274",
    "http://localhost",
    "http://localhost:1",
)
BEARER = ("/mcp", "/mcp/", "/token", "/register", "/oauth/token", "/oauth/register", "/oauth/revoke", "/oauth/userinfo")
NOT_BEARER = (
    "/", "/account", "/account/disconnect", "/authorize", "/oauth/authorize", "/oauth/logout", "/oauth/introspect",
    "/oauth/register/x", "/oauth/test", "/none", "/mcpx", "/healthz",
)  # fmt: skip


def _allowed(reply: httpx2.Response) -> set[str]:
    return {value for name, value in reply.headers.items() if name.startswith("access-control-allow-origin")}


@pytest.mark.parametrize("origin", LOOPBACK)
@pytest.mark.requirement("attack-67", "attack-68", "TR-13")
async def test_pages_of_this_computer_use_a_loopback_issuer_without_a_setting(
    make_server: MakeServer, origin: str
) -> None:
    async with make_server() as alone, alone.client() as http:
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-a"}
        for path in BEARER:
            preflight = await http.options(path, headers=asked)
            assert (preflight.status_code, _allowed(preflight)) == (204, {origin}), path
            assert _allowed(await http.post(path, headers={"Origin": origin})) == {origin}, path
        token = await token_for(alone, "mcp:read")
        for era in ERAS:
            refused = await ask(http, era, "tools/list", headers={"Origin": origin})
            assert refused.status_code == 401
            assert "www-authenticate" in refused.headers["access-control-expose-headers"].lower()
            served = await ask(http, era, "tools/list", token=token, headers={"Origin": origin})
            assert len(result(served)["tools"]) == 6
            assert "access-control-allow-credentials" not in served.headers


@pytest.mark.parametrize("path", NOT_BEARER)
@pytest.mark.requirement("attack-67", "attack-68")
async def test_no_page_and_no_form_is_read_or_posted_by_another_page_of_this_computer(
    make_server: MakeServer, path: str
) -> None:
    async with make_server() as alone, alone.client() as http:
        for origin in LOOPBACK:
            asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            for reply in (
                await http.options(path, headers=asked),
                await http.get(path, headers={"Origin": origin}),
                await http.post(path, headers={"Origin": origin}),
            ):
                assert not _allowed(reply), (path, origin)


@pytest.mark.parametrize(
    "env",
    [
        {"MCP_OAUTH_REQUIRE_AUTH": "false"},
        {"ENABLE_MCP_OAUTH": "false"},
        {"MCP_OAUTH_ISSUER": "https://auth.example.com"},
        {"MCP_OAUTH_ISSUER": "http://auth.example.com", "MCP_OAUTH_REQUIRE_HTTPS": "false"},
    ],
    ids=["no token is required", "no OAuth", "public issuer", "public issuer over http"],
)
@pytest.mark.requirement("attack-67", "TR-13")
async def test_pages_of_this_computer_are_foreign_where_the_token_or_the_issuer_does_not_protect(
    make_server: MakeServer, env: dict[str, str]
) -> None:
    async with make_server(**env) as other, httpx2.AsyncClient(base_url=f"http://127.0.0.1:{other.port}") as http:
        host = other.url.partition("//")[2]
        for origin in LOOPBACK:
            sent = {"Host": host, "Origin": origin}
            refused = await http.post("/mcp", json=message("modern", "tools/list"), headers=sent)
            assert (refused.status_code, _allowed(refused)) == (403, set())
            for path in BEARER[2:]:
                asked = {**sent, "Access-Control-Request-Method": "POST"}
                assert not _allowed(await http.options(path, headers=asked)), path


APPS = ("app://obsidian.md", "app://-", "tauri://localhost", "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
        "vscode-webview://0a1b2c3d4e5f", "moz-extension://0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d", "capacitor://localhost")  # fmt: skip


@pytest.mark.requirement("attack-67", "attack-68", "TR-13")
async def test_an_application_that_is_listed_may_call_and_no_other(make_server: MakeServer) -> None:
    async with make_server(MCP_OAUTH_ALLOW_ORIGINS="\n".join(APPS)) as server, server.client() as http:
        token = await token_for(server, "mcp:read")
        for origin in APPS:
            served = await ask(http, "modern", "tools/list", token=token, headers={"Origin": origin})
            assert (served.status_code, _allowed(served)) == (200, {origin})
            for other in (origin + "x", origin.replace("://", "x://"), origin.partition("://")[0] + "://"):
                refused = await ask(http, "modern", "tools/list", token=token, headers={"Origin": other})
                assert (refused.status_code, _allowed(refused)) == (403, set()), other
