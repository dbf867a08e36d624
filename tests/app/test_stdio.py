"""The program on stdio: one client, nothing on stdout but JSON-RPC, the same store as the HTTP server."""

import sqlite3
from pathlib import Path

import pytest

from tests.support.program import FASTMCP, SERVER, call_tool, environment, free_port, greet, program

STARTS = {
    "option": ((*SERVER, "--transport", "stdio"), {}),
    "environment": (SERVER, {"MCP_TRANSPORT": "stdio"}),
    "fastmcp": (FASTMCP, {}),
    "option-before-environment": ((*SERVER, "--transport", "stdio"), {"MCP_TRANSPORT": "http", "MCP_PORT": "1"}),
}


@pytest.mark.requirement("RS-01")
@pytest.mark.parametrize("start", STARTS)
async def test_stdio_serves_the_local_operator_and_speaks_only_json_rpc(tmp_path: Path, start: str) -> None:
    command, env = STARTS[start]
    async with program(*command, env=environment(tmp_path, **env)) as stdio:
        assert (await greet(stdio))["serverInfo"]["name"] == "MCP Docker Server"
        await stdio.send({"jsonrpc": "2.0", "id": 7, "method": "tools/list"})
        assert len((await stdio.answer())["result"]["tools"]) == 6
        await stdio.send({"jsonrpc": "2.0", "id": 8, "method": "resources/read", "params": {"uri": "oauth://audit"}})
        assert "contents" in (await stdio.answer())["result"]  # the operator holds every scope
        ended = await stdio.end(None)
    assert ended.status == 0
    assert ended.out == ""  # every line before was read as JSON-RPC
    assert "password" not in ended.err.lower()
    assert "Traceback" not in ended.err
    with sqlite3.connect(tmp_path / "oauth.db") as database:
        assert database.execute("SELECT count(*) FROM users").fetchone() == (0,)
        assert database.execute("SELECT count(*) FROM clients").fetchone() == (0,)
        assert database.execute("SELECT count(*) FROM meta WHERE name = 'issuer'").fetchone() == (0,)
    database.close()


async def test_the_issuer_recorded_by_the_http_server_is_what_stdio_uses(tmp_path: Path) -> None:
    port = free_port()
    async with program(*SERVER, "--port", str(port), env=environment(tmp_path)) as http:
        await http.ready(f"http://localhost:{port}")
        async with program(*SERVER, "--transport", "stdio", env=environment(tmp_path)) as stdio:  # both at once
            await greet(stdio)
            found = await call_tool(stdio, "mcp_oauth_authorization_server_metadata")
            assert found["issuer"] == f"http://localhost:{port}"
            assert found["token_endpoint"] == f"http://localhost:{port}/oauth/token"
            assert (await stdio.end(None)).status == 0
        assert (await http.end()).status == 0
    async with program(*SERVER, "--transport", "stdio", env=environment(tmp_path)) as stdio:
        await greet(stdio)
        found = await call_tool(stdio, "mcp_oauth_protected_resource_metadata")
        assert found["authorization_servers"] == [f"http://localhost:{port}"]
        await stdio.end(None)
    # A configured issuer goes before the recorded one, and stdio records nothing.
    given = environment(tmp_path, MCP_OAUTH_ISSUER="https://auth.example")
    async with program(*SERVER, "--transport", "stdio", env=given) as stdio:
        await greet(stdio)
        found = await call_tool(stdio, "mcp_oauth_authorization_server_metadata")
        assert found["issuer"] == "https://auth.example"
        await stdio.end(None)
    with sqlite3.connect(tmp_path / "oauth.db") as database:
        recorded = database.execute("SELECT value FROM meta WHERE name = 'issuer'").fetchone()
    database.close()
    assert recorded == (f"http://localhost:{port}",)
