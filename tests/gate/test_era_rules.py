"""What 2026-07-28 asks of a server beyond authorization: nothing is believed that a client merely says."""

import asyncio
from typing import Any

import httpx2
import pytest
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tests.support.mcp_http import ask, call, challenge_of, headers_for, message, result, token_for
from tests.support.server import Running

ERAS = ("legacy", "modern")


@pytest.mark.requirement("RS-27", "RS-25")
async def test_who_a_client_says_it_is_opens_nothing(shared: Running, http: httpx2.AsyncClient) -> None:
    token = await token_for(shared, "mcp:read")
    body = message("modern", "tools/call", {"name": "mcp_oauth_register_client", "arguments": {}})
    body["params"]["_meta"]["io.modelcontextprotocol/clientInfo"] = {"name": "admin", "version": "mcp:admin"}
    headers = headers_for("modern", "tools/call", {"name": "mcp_oauth_register_client"}, token)
    reply = await http.post("/mcp", json=body, headers=headers)
    assert reply.status_code == 403
    assert challenge_of(reply)["scope"] == "mcp:write"


@pytest.mark.requirement("RS-28", "RS-29")
@pytest.mark.parametrize("era", ERAS)
async def test_request_state_that_nobody_issued_is_refused(shared: Running, http: httpx2.AsyncClient, era: Any) -> None:
    token = await token_for(shared, "mcp:read")
    params = {"name": "mcp_oauth_get_configuration", "arguments": {}, "inputResponses": {}}
    assert "result" in (await ask(http, era, "tools/call", {**params, "inputResponses": None}, token)).text
    for state in ("forged", "", "e30.e30.e30"):
        reply = await ask(http, era, "tools/call", {**params, "requestState": state}, token)
        assert "requestState" in reply.text
        assert '"result"' not in reply.text


@pytest.mark.requirement("TR-09", "TR-11")
async def test_server_promises_no_notifications_and_starts_no_request(
    shared: Running, http: httpx2.AsyncClient
) -> None:
    token = await token_for(shared, "mcp:read")
    offered = result(await ask(http, "modern", "server/discover", {}, token))["capabilities"]
    assert offered["resources"] == {"subscribe": False, "listChanged": False}
    assert offered["tools"] == {"listChanged": False}
    assert offered["prompts"] == {"listChanged": False}
    for method, params in (
        ("subscriptions/listen", {"notifications": {"toolsListChanged": True}}),
        ("resources/subscribe", {"uri": "oauth://jwks"}),
    ):
        reply = await ask(http, "modern", method, params, token)
        assert (reply.status_code, reply.json()["error"]["code"]) == (404, -32601)
    # The answer to a call holds the answer alone: nothing is asked of the client on the way.
    reply = await call(http, "legacy", "mcp_oauth_get_configuration", token)
    assert reply.text.count("data: ") == 1


@pytest.mark.requirement("TR-14")
async def test_stream_is_not_held_back_by_a_proxy(shared: Running, http: httpx2.AsyncClient) -> None:
    reply = await call(http, "legacy", "mcp_oauth_get_configuration", await token_for(shared, "mcp:read"))
    assert reply.headers["content-type"] == "text/event-stream"
    assert reply.headers["x-accel-buffering"] == "no"
    assert shared.server.settings.host == "127.0.0.1"


@pytest.mark.requirement("TR-12")
async def test_closing_the_connection_cancels_the_call(server: Running) -> None:
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def slow(_scope: Scope, _receive: Receive, _send: Send) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    face = server.server._face
    assert face is not None
    (route,) = [r for r in face.routes if isinstance(r, Route) and r.path == "/.well-known/oauth-authorization-server"]
    route.app = slow
    token = await token_for(server, "mcp:read")
    async with server.client() as http:
        asked = asyncio.create_task(call(http, "modern", "mcp_oauth_check_compliance", token))
        await began.wait()
        assert not cancelled.is_set()
        asked.cancel()
    async with asyncio.timeout(5):
        await cancelled.wait()
