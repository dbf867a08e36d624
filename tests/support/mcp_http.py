"""MCP over HTTP as it is on the wire, in both protocol eras, and callers with tokens of any kind."""

import json
import re
from collections.abc import Sequence
from typing import Any, Literal

import httpx2
from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport

from oauth_server.core.jwt import ACCESS_TOKEN_TYPES, sign, verify
from oauth_server.store.records import User
from oauth_server.store.verbs import users
from tests.support.oauth import DEFAULT_CLIENT
from tests.support.server import OWNER, Running

Era = Literal["legacy", "modern"]
ERAS: tuple[Era, ...] = ("legacy", "modern")
VERSIONS: dict[Era, str] = {"legacy": "2025-11-25", "modern": "2026-07-28"}
MODES = ("legacy", "auto")  # of FastMCP's client
READ_TOOL = "mcp_oauth_get_configuration"
_PAIR = r'[a-z_]+="[\x20\x21\x23-\x5b\x5d-\x7e]*"'


def message(era: Era, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
    """One JSON-RPC request as a client of that era sends it."""
    sent = dict(params or {})
    if era == "modern":
        sent["_meta"] = {
            "io.modelcontextprotocol/protocolVersion": VERSIONS[era],
            "io.modelcontextprotocol/clientCapabilities": {},
        }
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": sent}


def headers_for(
    era: Era, method: str, params: dict[str, Any] | None = None, token: str | None = None
) -> dict[str, str]:
    """The headers that go with it."""
    found = {
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
        "MCP-Protocol-Version": VERSIONS[era],
    }
    if era == "modern":
        found["Mcp-Method"] = method
        name = (params or {}).get("name") or (params or {}).get("uri")
        if name is not None:
            found["Mcp-Name"] = str(name)
    if token is not None:
        found["Authorization"] = f"Bearer {token}"
    return found


async def ask(
    http: httpx2.AsyncClient,
    era: Era,
    method: str,
    params: dict[str, Any] | None = None,
    token: str | None = None,
    headers: dict[str, str] | None = None,
) -> httpx2.Response:
    """POST one request to /mcp."""
    sent = headers_for(era, method, params, token) | (headers or {})
    return await http.post("/mcp", json=message(era, method, params), headers=sent)


async def call(
    http: httpx2.AsyncClient, era: Era, tool: str, token: str | None = None, /, **arguments: Any
) -> httpx2.Response:
    """POST one tools/call."""
    return await ask(http, era, "tools/call", {"name": tool, "arguments": arguments}, token)


async def read(http: httpx2.AsyncClient, era: Era, uri: str, token: str | None = None) -> httpx2.Response:
    """POST one resources/read."""
    return await ask(http, era, "resources/read", {"uri": uri}, token)


def answer(response: httpx2.Response) -> dict[str, Any]:
    """The JSON-RPC answer of a response, which is JSON or one server-sent event."""
    assert response.status_code == 200, (response.status_code, response.text)
    text = response.text
    if response.headers["content-type"].startswith("text/event-stream"):
        data = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
        assert len(data) == 1, text
        text = data[0]
    found: dict[str, Any] = json.loads(text)
    return found


def result(response: httpx2.Response) -> dict[str, Any]:
    """The result of an answer that is no error."""
    found = answer(response)
    assert "error" not in found, found
    inside: dict[str, Any] = found["result"]
    return inside


def challenge_of(response: httpx2.Response) -> dict[str, str]:
    """The parameters of the one Bearer challenge, each of which must come once (RFC 9110 section 11.6.1)."""
    values = response.headers.get_list("www-authenticate")
    assert len(values) == 1, values
    assert re.fullmatch(rf"Bearer {_PAIR}(, {_PAIR})*", values[0]), values
    pairs = re.findall(r'([a-z_]+)="([^"]*)"', values[0])
    assert len(pairs) == len(dict(pairs)), values
    return dict(pairs)


def mcp_client(server: Running, token: str | None, mode: str) -> Client[StreamableHttpTransport]:
    """FastMCP's own client of /mcp with a bearer token, `mode` "legacy" or "auto" (2026-07-28)."""
    return Client(StreamableHttpTransport(f"http://localhost:{server.port}/mcp", auth=token), mode=mode)


async def user_id(server: Running, username: str = OWNER) -> str:
    """The `sub` of a person."""
    found = await server.services.store.read(users.by_username, username)
    assert found is not None
    return found.user_id


async def add_user(server: Running, username: str, *ceiling: str) -> str:
    """Add a person with this scope ceiling; returns the `sub`."""
    person = User(f"sub-of-{username}", username, "no password fits this", ceiling, server.clock())
    assert await server.services.store.write(users.add, person)
    return person.user_id


async def token_for(
    server: Running,
    *scope: str,
    subject: str | None = None,
    audience: Sequence[str] = (),
    client_id: str = DEFAULT_CLIENT,
    grant_id: str = "grant-of-the-test",
) -> str:
    """An access token as the token endpoint signs it; by default the owner's, for the canonical resource.

    One with several audiences is such as earlier releases signed.
    """
    names = list(audience) or [server.services.deployment.resources.root]
    tokens = server.services.tokens
    token = tokens.issue_access(
        subject=await user_id(server) if subject is None else subject,
        client_id=client_id,
        scope=scope,
        audience=names[0],
        grant_id=grant_id,
    )
    if len(names) == 1:
        return token
    claims = verify(token, tokens.keys.access, ACCESS_TOKEN_TYPES)
    return sign(tokens.keys.sign_access, claims | {"aud": names}, "at+jwt")


async def client_ids(server: Running) -> set[str]:
    """Every registered client, to see that nothing was registered."""
    return {client.client_id for client in await server.services.clients.newest(1000)}
