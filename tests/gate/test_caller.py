"""What tools of FastMCP's own kind see of the caller, and what they cannot keep."""

from typing import Any

import fastmcp
import httpx2
import pytest
from fastmcp import Context
from fastmcp.server.dependencies import get_access_token

from tests.conftest import MakeServer
from tests.support.mcp_http import ERAS, Era, call, result, token_for, user_id

eras = pytest.mark.parametrize("era", ERAS)


@eras
async def test_fastmcp_knows_the_verified_token(make_server: MakeServer, era: Era) -> None:
    async def who() -> dict[str, Any]:
        token = get_access_token()
        assert token is not None
        assert token is get_access_token()
        return token.model_dump()

    async with make_server() as server, server.client() as http:
        server.server.tool(who)
        token = await token_for(server, "mcp:read openid")
        found = result(await call(http, era, "who", token))["structuredContent"]
        subject, client = await user_id(server), "mcp-docker-server-default"
        assert found == {
            "token": token,
            "client_id": client,
            "scopes": ["mcp:read", "openid"],
            "expires_at": int(server.clock()) + 3600,
            "resource": server.url,
            "subject": subject,
            "claims": {"iss": server.url, "sub": subject, "client_id": client},
            "original_client_id": None,
        }


@eras
async def test_no_state_is_kept_between_requests(make_server: MakeServer, era: Era) -> None:
    async def remember(ctx: Context) -> str:
        assert await ctx.get_state("name") is None
        await ctx.delete_state("name")
        await ctx.set_state("name", "value")
        return "kept"

    async with make_server() as server, server.client() as http:
        server.server.tool(remember)
        found = result(await call(http, era, "remember", await token_for(server, "mcp:read")))
        assert found["isError"]
        assert "every request stands alone" in found["content"][0]["text"]


async def test_spans_are_left_out_where_nobody_takes_them(http: httpx2.AsyncClient) -> None:
    assert (await http.get("/healthz")).status_code == 200
    assert fastmcp.settings.telemetry_mode == "propagation_only"
