"""docs/clients.md holds: its configurations start the server, its versions are those run, its sentences are those told."""

import json
import re
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import httpx2
import pytest
from mcp.client.auth import OAuthFlowError
from mcp.shared.auth import AuthorizationCodeResult

from tests.support.browser import Browser
from tests.support.mcp_clients import Keychain, Person, sdk_auth
from tests.support.mcp_http import ask, call, token_for
from tests.support.npm import PACKAGES
from tests.support.oauth import OAuthClient, Pkce
from tests.support.program import ROOT, environment, greet, program
from tests.support.publisher import URL
from tests.support.server import Running

PAGE = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
CHECK = "mcp_oauth_check_compliance"
HERE = "/path/to/here"


def entries() -> list[dict[str, Any]]:
    """Every server in the page's JSON configurations."""
    blocks = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
    return [server for block in blocks for servers in block.values() for server in servers.values()]


async def test_every_stdio_configuration_is_one_command_which_starts_the_server_from_anywhere(tmp_path: Path) -> None:
    commands = {(entry["command"], *entry["args"]) for entry in entries() if entry.get("command") == "uv"}
    (command,) = commands
    assert " ".join(command) in PAGE.partition("```bash\n")[2].partition("```")[0]
    filled = [part.replace(HERE, str(ROOT)) for part in command]
    async with program(*filled, env=environment(tmp_path), cwd=tmp_path) as stdio:
        assert (await greet(stdio))["serverInfo"]["name"] == "MCP Docker Server"


def test_every_other_configuration_names_the_endpoint_with_its_path() -> None:
    others = [entry.get("url") or entry["args"][-1] for entry in entries() if entry.get("command") != "uv"]
    assert len(others) >= 3
    assert set(others) == {"http://localhost:8000/mcp"}


def test_versions_on_the_page_are_those_that_are_run() -> None:
    assert f"its command line {PACKAGES['@modelcontextprotocol/inspector']} is run" in PAGE
    assert f"{PACKAGES['mcp-remote']} is run" in PAGE


def _sentences() -> list[str]:
    """What is read where something fails: the first column."""
    rows = [row for row in PAGE.partition("## When it fails")[2].splitlines() if row.startswith("| ")]
    return [row.split(" | ")[0].removeprefix("| ") for row in rows[1:]]


@dataclass
class Forgetful(Person):
    """A client's callback handler that hands on nothing but the code and the state."""

    async def callback(self) -> AuthorizationCodeResult:
        return (await super().callback()).model_copy(update={"iss": None})


@pytest.mark.requirement("AS-37")
async def test_faults_of_clients_on_the_page_show_as_it_says(server: Running, browser: Browser) -> None:
    sentence, redirected = _sentences()[-2:]
    async with httpx2.AsyncClient(auth=sdk_auth(f"{server.url}/mcp", Forgetful(browser), Keychain())) as http:
        with pytest.raises(OAuthFlowError, match=f"^{re.escape(sentence)}$"):
            await http.post(f"{server.url}/mcp", json={})
        reply = await http.post(f"{server.url}/mcp/", json={}, auth=None)
    assert f"{reply.status_code} {reply.reason_phrase}" == redirected
    assert reply.headers["location"] == "/mcp"


@pytest.mark.requirement("AS-37")
async def test_sentences_on_the_page_are_those_the_server_tells(
    server: Running, client: OAuthClient, browser: Browser
) -> None:
    pkce = Pkce.new()
    foreign = {"Origin": "https://page.example"}
    read_alone = await token_for(server, "mcp:read", audience=[f"{server.url}/mcp"])
    write = await token_for(server, "mcp:write", audience=[f"{server.url}/mcp"])
    scheme = {"redirect_uris": ["app://callback"]}
    hosted = await OAuthClient.register(server, redirect_uris=["https://app.example/cb"])
    await hosted.close()
    replies = [
        await client.http.post("/", json={}),
        await client.http.get(client.url(pkce, client_id="gone")),
        await client.http.get(client.url(pkce, redirect_uri="http://localhost:1/other")),
        await client.http.post("/oauth/register", json={"redirect_uris": ["https://App.example/cb"]}),
        await client.http.get(hosted.url(pkce, prompt="none")),
        await client.http.post("/oauth/register", json=scheme),
        await client.http.get(client.url(pkce, resource="http://elsewhere.example/mcp")),
        await client.http.get("/oauth/test", headers={"Host": "elsewhere.example"}),
        await client.http.post("/mcp", json={}, headers=foreign),
        await browser.sign_in(await browser.http.get(client.url(pkce, client_id=URL))),
        await ask(client.http, "legacy", "tools/call", {"name": "mcp_oauth_register_client"}, read_alone),
        await call(client.http, "legacy", CHECK, write, server_url="https://mcp.invalid", depth="active"),
    ]
    told = _sentences()[: len(replies)]
    for sentence, reply in zip(told, replies, strict=True):
        heard = unescape(reply.text) + unquote_plus(reply.headers.get("location", ""))
        assert sentence.replace("http://localhost:8000", server.url) in heard, sentence
