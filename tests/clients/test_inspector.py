"""MCP Inspector's command line, the real one: a bearer token, the whole OAuth flow, and stdio."""

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.mcp_clients import Person
from tests.support.mcp_http import token_for
from tests.support.npm import TEST_SECONDS, Npm
from tests.support.program import ROOT, Ended, free_port, program, run
from tests.support.server import Running

pytestmark = pytest.mark.timeout(TEST_SECONDS)

ERAS = ("legacy", "modern")
AUTHORIZATION_URL = r"http://localhost:\d+/oauth/authorize\?\S+"


def inspect(npm: Npm, *arguments: str) -> tuple[str, ...]:
    """The command line that prints its answer as JSON."""
    return npm.command("inspector", "--cli", *arguments, "--format", "json")


def answer(ended: Ended) -> dict[str, Any]:
    """The result that a successful run printed."""
    assert ended.status == 0, ended.err
    found: dict[str, Any] = json.loads(ended.out)["result"]
    return found


async def connect(command: tuple[str, ...], env: dict[str, str], person: Person) -> Ended:
    """Run the inspector and do for it what a person does: open its link, sign in, consent, land at its listener."""
    async with program(*command, env=env) as inspector:
        url = await inspector.said(AUTHORIZATION_URL)
        await person.open(url[0])
        async with httpx2.AsyncClient() as http:
            assert (await http.get(person.answer)).status_code == 200
        return await inspector.end(None)


@pytest.mark.requirement("RS-09", "TR-16")
@pytest.mark.parametrize("era", ERAS)
async def test_inspector_with_a_bearer_token_lists_and_calls_in_both_eras(
    era: str, npm: Npm, server: Running, node_env: dict[str, str]
) -> None:
    token = await token_for(server, "mcp:read", audience=[f"{server.url}/mcp"])
    at = (f"{server.url}/mcp", "--protocol-era", era, "--header", f"Authorization: Bearer {token}")
    listed = answer(await run(*inspect(npm, *at, "--method", "tools/list"), env=node_env))
    assert len(listed["tools"]) == 6
    call = ("--method", "tools/call", "--tool-name", "mcp_oauth_validate_token", "--tool-arg", f"token={token}")
    verdict = answer(await run(*inspect(npm, *at, *call), env=node_env))["structuredContent"]
    assert verdict["valid"] is True
    assert verdict["claims"]["aud"] == [f"{server.url}/mcp"]


@pytest.mark.requirement("RS-15", "attack-66")
async def test_inspector_says_which_scope_is_missing(npm: Npm, server: Running, node_env: dict[str, str]) -> None:
    token = await token_for(server, "mcp:read", audience=[f"{server.url}/mcp"])
    at = (f"{server.url}/mcp", "--header", f"Authorization: Bearer {token}")
    ended = await run(*inspect(npm, *at, "--method", "resources/read", "--uri", "oauth://audit"), env=node_env)
    assert ended.status != 0
    assert json.loads(ended.err)["error"]["message"] == 'Insufficient scope: required "mcp:admin"'


@pytest.mark.requirement("RS-02", "RS-04", "AS-02", "AS-21", "AS-23", "AS-36")
async def test_inspector_signs_in_by_itself_and_its_next_run_refreshes(
    npm: Npm, server: Running, person: Person, node_env: dict[str, str]
) -> None:
    listener = f"http://127.0.0.1:{free_port()}/oauth/callback"
    at = (f"{server.url}/mcp", "--callback-url", listener)
    command = inspect(npm, *at, "--method", "tools/list")
    assert len(answer(await connect(command, node_env, person))["tools"]) == 6
    (asked,) = person.asked
    assert (asked["redirect_uri"], asked["prompt"], asked["resource"]) == (listener, "consent", f"{server.url}/mcp")
    assert asked["scope"] == "mcp:read mcp:write offline_access"
    server.clock.advance(3601)
    later = inspect(npm, *at, "--method", "resources/read", "--uri", "oauth://me", "--stored-auth-only")
    assert answer(await run(*later, env=node_env))["contents"]
    assert len(person.opened) == 1


@pytest.mark.requirement("RS-01")
async def test_inspector_starts_the_server_on_stdio(npm: Npm, tmp_path: Path, node_env: dict[str, str]) -> None:
    # Everything before the double dash is the inspector's own, "--transport" too.
    database = ("-e", f"MCP_OAUTH_DATABASE_URL=sqlite:///{tmp_path}/oauth.db")
    server = ("--", "uv", "run", "--project", str(ROOT), str(ROOT / "server.py"), "--transport", "stdio")
    reading = ("--method", "resources/read", "--uri", "oauth://audit", "--format", "json")
    ended = await run(*npm.command("inspector", "--cli", *database, *reading, *server), env=node_env, cwd=tmp_path)
    assert answer(ended)["contents"]
