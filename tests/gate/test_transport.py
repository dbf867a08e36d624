"""One endpoint serves both protocol eras, without sessions."""

import httpx2
import pytest

from tests.support.mcp_http import ERAS, READ_TOOL, VERSIONS, Era, ask, call, headers_for, message, result, token_for
from tests.support.server import Running

eras = pytest.mark.parametrize("era", ERAS)


@pytest.mark.requirement("TR-16")
async def test_a_legacy_handshake_and_a_modern_discovery_are_answered_at_the_same_endpoint(
    shared: Running, http: httpx2.AsyncClient
) -> None:
    token = await token_for(shared, "mcp:read")
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    legacy = result(await ask(http, "legacy", "initialize", params, token))
    assert (legacy["protocolVersion"], legacy["serverInfo"]["name"]) == ("2025-11-25", "MCP Docker Server")
    modern = result(await ask(http, "modern", "server/discover", {}, token))
    assert "2026-07-28" in modern["supportedVersions"]


@eras
@pytest.mark.requirement("TR-08", "TR-15", "RS-23", "RS-24")
async def test_no_session_is_minted_and_one_that_arrives_is_ignored(
    shared: Running, http: httpx2.AsyncClient, era: Era
) -> None:
    token = await token_for(shared, "mcp:read")
    params = {"protocolVersion": VERSIONS[era], "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    replies = [
        await ask(http, era, "initialize" if era == "legacy" else "server/discover", params, token),
        await ask(http, era, "tools/list", {}, token),
        await ask(
            http, era, "tools/list", {}, token, headers={"Mcp-Session-Id": "an-old-session", "Last-Event-ID": "7"}
        ),
        await call(http, era, READ_TOOL, token),
    ]
    for reply in replies:
        assert "mcp-session-id" not in reply.headers
        assert "error" not in result(reply)


@eras
@pytest.mark.requirement("TR-08", "RS-23")
async def test_a_session_id_is_no_credential(http: httpx2.AsyncClient, era: Era) -> None:
    reply = await ask(http, era, "tools/list", headers={"Mcp-Session-Id": "an-old-session"})
    assert reply.status_code == 401


@eras
@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "PATCH"])
@pytest.mark.requirement("TR-01", "TR-08")
async def test_only_post_is_served(shared: Running, http: httpx2.AsyncClient, era: Era, method: str) -> None:
    sent = headers_for(era, "tools/list", None, await token_for(shared, "mcp:admin"))
    reply = await http.request(method, "/mcp", headers={**sent, "Accept": "text/event-stream", "Mcp-Session-Id": "x"})
    assert (reply.status_code, reply.headers["allow"]) == (405, "POST")
    assert "mcp-session-id" not in reply.headers


@eras
@pytest.mark.requirement("TR-15")
async def test_every_request_is_judged_by_its_own_token(shared: Running, http: httpx2.AsyncClient, era: Era) -> None:
    register = "mcp_oauth_register_client"
    low, high = await token_for(shared, "mcp:read"), await token_for(shared, "mcp:write")
    statuses = [(await call(http, era, register, token)).status_code for token in (high, low, high, None, high)]
    assert statuses == [200, 403, 200, 401, 200]


@pytest.mark.requirement("TR-16", "TR-05")
async def test_a_modern_request_whose_headers_contradict_its_body_is_400(
    shared: Running, http: httpx2.AsyncClient
) -> None:
    token = await token_for(shared, "mcp:admin")
    params = {"name": READ_TOOL, "arguments": {}}
    for header in ({"Mcp-Method": "tools/list"}, {"Mcp-Name": "mcp_oauth_validate_token"}):
        reply = await ask(http, "modern", "tools/call", params, token, headers=header)
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, -32020)


@pytest.mark.requirement("TR-06", "TR-16")
async def test_a_version_nobody_knows_is_400_with_the_versions_that_are_served(
    shared: Running, http: httpx2.AsyncClient
) -> None:
    sent = headers_for("modern", "tools/list", None, await token_for(shared, "mcp:read"))
    body = message("modern", "tools/list")
    body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = "2099-01-01"
    reply = await http.post("/mcp", json=body, headers=sent | {"MCP-Protocol-Version": "2099-01-01"})
    assert reply.status_code == 400
    assert "2026-07-28" in reply.json()["error"]["data"]["supported"]
