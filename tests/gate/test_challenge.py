"""A request without a usable token is challenged with 401 before anything of it is looked at."""

import asyncio
import json

import httpx2
import pytest

from oauth_server.app.mcp_server import McpServer
from tests.conftest import MakeServer
from tests.support.mcp_http import ERAS, READ_TOOL, Era, ask, challenge_of, headers_for, message, token_for
from tests.support.server import Running

eras = pytest.mark.parametrize("era", ERAS)
METHODS = (
    "tools/list",
    "tools/call",
    "resources/list",
    "resources/read",
    "ping",
    "server/discover",
    "initialize",
    "no/such",
)


async def _exchange(port: int, request: str) -> str:
    """Send exactly this and read what comes back first."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request.encode())
        await writer.drain()
        async with asyncio.timeout(5):
            head = await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()
        await writer.wait_closed()
    return head.decode()


@eras
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.requirement("attack-61", "regression-6", "RS-04", "RS-06", "RS-12", "RS-13", "RS-14", "RS-23", "AS-37")
async def test_without_a_token_every_method_is_401_with_the_metadata_url_and_no_error_code(
    shared: Running, http: httpx2.AsyncClient, era: Era, method: str
) -> None:
    reply = await ask(http, era, method, {"name": READ_TOOL, "uri": "oauth://me"})
    assert reply.status_code == 401
    assert reply.headers["www-authenticate"] == (
        f'Bearer resource_metadata="{shared.url}/.well-known/oauth-protected-resource/mcp", scope="mcp:read mcp:write"'
    )
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["content-type"] == "application/json"
    assert reply.json()["error"] == "invalid_token"
    assert "result" not in reply.text


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "HEAD", "OPTIONS"])
@pytest.mark.requirement("attack-61", "RS-23")
async def test_every_http_method_on_the_endpoint_is_challenged(http: httpx2.AsyncClient, method: str) -> None:
    reply = await http.request(method, "/mcp")
    assert reply.status_code == 401
    assert "error" not in challenge_of(reply)


@pytest.mark.parametrize(
    "credentials", ["Basic YWRtaW46cGFzc3dvcmQ=", "DPoP abc", "Negotiate abc", "Bearerabc", "token abc", ""]
)
@eras
@pytest.mark.requirement("attack-61", "RS-13")
async def test_another_scheme_counts_as_no_token(http: httpx2.AsyncClient, era: Era, credentials: str) -> None:
    reply = await ask(http, era, "tools/list", headers={"Authorization": credentials})
    assert reply.status_code == 401
    assert set(challenge_of(reply)) == {"resource_metadata", "scope"}


@eras
@pytest.mark.requirement("attack-65", "RS-12", "RS-23")
async def test_a_token_in_the_query_the_body_or_a_cookie_is_never_looked_at(
    shared: Running, http: httpx2.AsyncClient, era: Era
) -> None:
    token = await token_for(shared, "mcp:admin")
    sent = headers_for(era, "tools/list")
    body = {**message(era, "tools/list"), "access_token": token}
    in_query = await http.post(f"/mcp?access_token={token}", json=message(era, "tools/list"), headers=sent)
    in_body = await http.post("/mcp", json=body, headers=sent)
    in_form = await http.post("/mcp", data={"access_token": token})
    in_cookie = await http.post("/mcp", json=body, headers={**sent, "Cookie": f"access_token={token}"})
    at_test = await http.get(f"/oauth/test?access_token={token}")
    for reply in (in_query, in_body, in_form, in_cookie, at_test):
        assert reply.status_code == 401
        assert "error" not in challenge_of(reply)


@eras
@pytest.mark.requirement("RS-14", "attack-61")
async def test_two_authorization_headers_are_a_malformed_request(
    shared: Running, http: httpx2.AsyncClient, era: Era
) -> None:
    good = f"Bearer {await token_for(shared, 'mcp:admin')}"
    for second in (good, "Bearer other", "Basic YTpi"):
        pairs = [*headers_for(era, "tools/list").items(), ("Authorization", good), ("Authorization", second)]
        at_mcp = await http.post("/mcp", json=message(era, "tools/list"), headers=pairs)
        at_test = await http.get("/oauth/test", headers=pairs[-2:])
        for reply, path in ((at_mcp, "/mcp"), (at_test, "")):
            assert (reply.status_code, reply.json()["error"]) == (400, "invalid_request")
            found = challenge_of(reply)  # RFC 6750 section 3.1
            assert found["error"] == "invalid_request"
            assert found["error_description"] == reply.json()["error_description"]
            assert found["resource_metadata"] == f"{shared.url}/.well-known/oauth-protected-resource{path}"


@pytest.mark.requirement("RS-13")
async def test_the_scheme_name_is_case_insensitive_and_empty_credentials_are_invalid(
    shared: Running, http: httpx2.AsyncClient
) -> None:
    token = await token_for(shared, "mcp:read")
    for scheme in ("bearer", "BEARER"):
        reply = await ask(http, "modern", "tools/list", headers={"Authorization": f"{scheme} {token}"})
        assert reply.status_code == 200
    empty = await ask(http, "modern", "tools/list", headers={"Authorization": "Bearer"})
    assert empty.status_code == 401
    assert challenge_of(empty)["error"] == "invalid_token"


@pytest.mark.parametrize("authorization", ["", "Authorization: Bearer not-a-token\r\n"])
@pytest.mark.parametrize(
    "framing",
    ["Content-Length: 100000\r\nExpect: 100-continue", "Content-Length: 100000", "Transfer-Encoding: chunked"],
)
@pytest.mark.requirement("attack-61", "RS-12")
async def test_the_refusal_comes_before_the_body_is_read(shared: Running, framing: str, authorization: str) -> None:
    head = await _exchange(
        shared.port,
        f"POST /mcp HTTP/1.1\r\nHost: localhost:{shared.port}\r\nContent-Type: application/json\r\n"
        f"{authorization}{framing}\r\n\r\n",
    )
    # "100 Continue" would be the sign that the body was asked for.
    assert head.startswith("HTTP/1.1 401 "), head
    assert "\r\nwww-authenticate: Bearer " in head


@pytest.mark.requirement("RS-12")
async def test_with_a_good_token_the_body_is_asked_for(shared: Running) -> None:
    head = await _exchange(
        shared.port,
        f"POST /mcp HTTP/1.1\r\nHost: localhost:{shared.port}\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {await token_for(shared, 'mcp:read')}\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n",
    )
    assert head.startswith("HTTP/1.1 100 "), head


@pytest.mark.requirement("attack-61", "regression-6", "RS-04", "RS-05")
async def test_the_test_endpoint_shows_the_parameter_of_the_document_as_well(
    shared: Running, http: httpx2.AsyncClient
) -> None:
    reply = await http.get("/oauth/test")
    where = f"{shared.url}/.well-known/oauth-protected-resource"
    assert reply.status_code == 401
    assert challenge_of(reply) == {"resource_metadata": where, "scope": "mcp:read", "resource": where}
    assert reply.headers["cache-control"] == "no-store"


@pytest.mark.requirement("RS-04", "RS-05", "RS-07")
@pytest.mark.parametrize("path", ["/mcp", "/oauth/test"])
async def test_the_metadata_that_the_challenge_names_is_there_and_names_the_resource(
    shared: Running, http: httpx2.AsyncClient, path: str
) -> None:
    challenge = challenge_of(await http.get(path))
    metadata = (await http.get(challenge["resource_metadata"])).json()
    assert metadata["resource"] == shared.url + (path if path == "/mcp" else "")
    assert set(challenge["scope"].split()) <= set(metadata["scopes_supported"])


@pytest.mark.requirement("RS-20", "AS-28")
async def test_offline_access_is_in_no_challenge_and_no_resource_metadata(
    shared: Running, http: httpx2.AsyncClient
) -> None:
    weak = {"Authorization": f"Bearer {await token_for(shared, 'offline_access', 'openid')}"}
    replies = [await http.get("/mcp"), await http.get("/oauth/test"), await http.get("/oauth/test", headers=weak)]
    replies.append(await ask(http, "modern", "tools/call", {"name": READ_TOOL}, headers=weak))
    assert [reply.status_code for reply in replies] == [401, 401, 403, 403]
    replies += [await http.get(f"/.well-known/oauth-protected-resource{path}") for path in ("", "/mcp")]
    for reply in replies:
        assert "offline_access" not in json.dumps(dict(reply.headers)) + reply.text


@pytest.mark.requirement("RS-07", "RS-31")
async def test_the_challenge_never_names_a_scope_that_is_not_configured(make_server: MakeServer) -> None:
    async with make_server(MCP_OAUTH_SCOPE="mcp:read") as server, server.client() as http:
        assert challenge_of(await http.get("/mcp"))["scope"] == "mcp:read"
        metadata = (await http.get("/.well-known/oauth-protected-resource")).json()
        assert metadata["scopes_supported"] == ["mcp:read"]


@pytest.mark.requirement("regression-1")
async def test_the_server_starts_with_oauth_switched_on_and_serves_every_face(make_server: MakeServer) -> None:
    async with make_server(ENABLE_MCP_OAUTH="true") as server, server.client() as http:
        assert isinstance(server.server, McpServer)
        for path in ("/healthz", "/readyz", "/.well-known/oauth-authorization-server"):
            assert (await http.get(path)).status_code == 200
        assert (await http.get("/oauth/authorize")).status_code == 400
        assert (await http.post("/mcp")).status_code == 401
