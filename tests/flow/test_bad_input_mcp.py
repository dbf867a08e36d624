"""Bad input at the protected resources: headers that are no credentials, bodies that are no messages (RFC 6750 3.1)."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from tests.support.browser import Browser
from tests.support.oauth import OAuthClient
from tests.support.outside import MCP_HEADERS, PING, assert_printable, bearer, rows
from tests.support.server import Running

LIMIT = 4 * 1024 * 1024
RESOURCES = [("POST", "/mcp"), ("GET", "/oauth/test"), ("GET", "/oauth/userinfo"), ("POST", "/oauth/userinfo")]


@pytest.fixture
async def token(browser: Browser, client: OAuthClient) -> str:
    """An access token that opens everything."""
    found: str = (await client.tokens(browser, scope="openid mcp:read mcp:write mcp:admin"))["access_token"]
    return found


async def post(client: OAuthClient, token: str, body: bytes, **headers: str) -> httpx2.Response:
    sent = {"Content-Type": "application/json", **MCP_HEADERS, **bearer(token), **headers}
    return await client.http.post("/mcp", content=body, headers=sent)


@pytest.mark.parametrize(("method", "path"), RESOURCES)
@pytest.mark.requirement("RS-13", "RS-14", "attack-63", "attack-40")
async def test_garbage_in_the_authorization_header_is_an_invalid_token(
    server: Running, client: OAuthClient, token: str, method: str, path: str
) -> None:
    before = rows(server)
    for value in (
        b"Bearer",
        b"Bearer \xff\xfe\xed\xa0\x80",
        b"Bearer ..",
        b"Bearer a.b.c",
        b"Bearer e30.e30.e30",
        b"Bearer " + b"a" * 20_000,
        b"Bearer " + b"." * 5_000,
        f"Bearer {token} {token}".encode(),
        f"Bearer {token},".encode(),
        f"Bearer {token}=".encode(),
        f"Bearer '{token}'".encode(),
        f"Bearer {token[:-1]}".encode(),
        f"Bearer {token}{token}".encode(),
        b"Bearer W10.W10.W10",
        b"Bearer " + b"W" * 4000 + b".e30.e30",
    ):
        reply = await client.http.request(method, path, headers=[(b"Authorization", value)])
        assert reply.status_code == 401, (value[:60], reply.status_code)
        assert reply.json()["error"] == "invalid_token"
        assert_printable(reply.json()["error_description"])
        challenge = reply.headers["www-authenticate"]
        assert challenge.startswith("Bearer ")
        assert 'error="invalid_token"' in challenge
        assert reply.headers["cache-control"] == "no-store"
    assert rows(server) == before


@pytest.mark.parametrize(("method", "path"), RESOURCES)
@pytest.mark.requirement("RS-14", "attack-37")
async def test_two_authorization_headers_are_a_malformed_request(
    server: Running, client: OAuthClient, token: str, method: str, path: str
) -> None:
    for second in (f"Bearer {token}", "Basic YTpi", "Bearer x"):
        headers = [("Authorization", f"Bearer {token}"), ("Authorization", second)]
        reply = await client.http.request(method, path, headers=headers)
        assert reply.status_code == 400, reply.text
        assert reply.json()["error"] == "invalid_request"


@pytest.mark.requirement("RS-14", "attack-40")
async def test_a_body_that_is_no_json_rpc_message_is_a_bad_request(
    server: Running, client: OAuthClient, token: str
) -> None:
    before = rows(server)
    for body, code in {
        b"": -32700,
        b"{": -32700,
        b"\xff": -32700,
        b'{"jsonrpc": "2.0", "id": 1, "method": "\xed\xa0\x80"}': -32700,
        rb'{"jsonrpc": "2.0", "id": 1, "method": "\ud800"}': -32700,
        b"[" * 100_000: -32700,
        b'{"a":' * 100_000: -32700,
        b"[]": -32600,
        b"null": -32600,
        b"1": -32600,
        b"{}": -32600,
        b'{"jsonrpc": "1.0", "id": 1, "method": "ping"}': -32600,
        b'{"jsonrpc": "2.0", "id": 1, "method": 1}': -32600,
        b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": 1}': -32600,
        b'[{"jsonrpc": "2.0", "id": 1, "method": "ping"}, 1]': -32600,
    }.items():
        reply = await post(client, token, body)
        assert reply.status_code == 400, (body[:60], reply.status_code, reply.text)
        assert reply.headers["content-type"] == "application/json"
        assert reply.json()["error"]["code"] == code, body[:60]
        assert reply.json()["id"] == (1 if body.startswith(b'{"jsonrpc"') and code == -32600 else None)
    assert rows(server) == before
    assert (await client.http.post("/mcp", json=PING, headers={**MCP_HEADERS, **bearer(token)})).status_code == 200


@pytest.mark.requirement("attack-40")
async def test_hostile_arguments_are_errors_and_change_nothing(
    server: Running, client: OAuthClient, token: str
) -> None:
    before = rows(server)
    for method, params in (
        ("tools/call", {"name": None}),
        ("tools/call", {"name": "\x00"}),
        ("tools/call", {"name": "mcp_oauth_validate_token", "arguments": "x"}),
        ("tools/call", {"name": "mcp_oauth_validate_token", "arguments": {"token": "\x00\u202e" * 1000}}),
        ("tools/call", {"name": "mcp_oauth_validate_token", "arguments": {"token": ["x"], "resource": {}}}),
        ("tools/call", {"name": "mcp_oauth_register_client", "arguments": {"redirect_uris": ["javascript:1"]}}),
        ("tools/call", {"name": "mcp_oauth_register_client", "arguments": {"redirect_uris": ["http://evil.example/"]}}),
        ("tools/call", {"name": "mcp_oauth_register_client", "arguments": {"redirect_uris": "\x00", "nonsense": 1}}),
        ("resources/read", {"uri": "oauth://clients/\x00"}),
        ("resources/read", {"uri": "oauth://clients/%00"}),
        ("resources/read", {"uri": "oauth://clients/../configuration"}),
        ("resources/read", {"uri": "file:///etc/passwd"}),
        ("resources/read", {"uri": 1}),
        ("\x00", {}),
    ):
        call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        reply = await client.http.post("/mcp", json=call, headers={**MCP_HEADERS, **bearer(token)})
        assert reply.status_code < 500, (method, params, reply.text)
        assert '"error"' in reply.text or '"isError":true' in reply.text or '"valid":false' in reply.text, reply.text
        assert "Traceback" not in reply.text
        assert "sqlite" not in reply.text.lower()
    assert rows(server) == before


@pytest.mark.requirement("attack-40", "RS-14")
async def test_a_message_over_four_mebibytes_is_too_large(server: Running, client: OAuthClient, token: str) -> None:
    before = rows(server)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(LIMIT // 65536):
            yield b" " * 65536
        yield b" "

    headers = {"Content-Type": "application/json", **MCP_HEADERS, **bearer(token)}
    for body in (b" " * (LIMIT + 1), chunks()):
        reply = await client.http.post("/mcp", content=body, headers=headers)
        assert reply.status_code == 413, reply.text
        assert reply.json()["error"] == "invalid_request"
    assert rows(server) == before


@pytest.mark.requirement("attack-40", "RS-12")
async def test_a_message_of_another_content_type_or_accept_is_refused(
    server: Running, client: OAuthClient, token: str
) -> None:
    body = b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}'
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "x"):
        reply = await post(client, token, body, **{"Content-Type": content_type})
        assert 400 <= reply.status_code < 500, (content_type, reply.status_code)
        assert '"result"' not in reply.text
    reply = await post(client, token, body, Accept="text/html")
    assert reply.status_code == 406
