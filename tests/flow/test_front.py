"""Where people arrive: the start page, a browser at an address for programs, an address where nothing is."""

import json
import re
from pathlib import Path

import pytest

from oauth_server.flow.front import snippets
from tests.conftest import MakeServer
from tests.support.authorize import shown
from tests.support.server import Running

CLIENTS_PAGE = Path(__file__).parents[2] / "docs/clients.md"
NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
EVENTS = {"Accept": "text/event-stream"}


async def test_start_page_says_how_to_connect(server: Running) -> None:
    async with server.client() as http:
        html = shown(await http.get("/", headers=NAVIGATION))
        assert (await http.head("/")).status_code == 200
    endpoint = f"{server.url}/mcp"
    blocks = [block.replace("&#34;", '"') for block in re.findall(r'<pre class="copy">(.*?)</pre>', html, re.DOTALL)]
    assert blocks[0] == endpoint
    assert all(endpoint in block for block in blocks)
    configurations = [json.loads(block) for block in blocks if block.startswith("{")]
    assert [next(iter(found)) for found in configurations] == ["servers", "mcpServers", "mcpServers"]
    assert '<a href="/account">' in html
    assert "<form" not in html


def test_start_page_and_the_page_about_clients_say_the_same() -> None:
    page = CLIENTS_PAGE.read_text(encoding="utf-8")
    blocks = [block for _, block in re.findall(r"```(json|bash)\n(.*?)```", page, re.DOTALL)]
    told = [json.loads(block) if block.startswith("{") else block for block in blocks]
    lines = {line for block in blocks for line in block.splitlines()}
    for snippet in snippets("http://localhost:8000/mcp"):
        if snippet.text.startswith("{"):
            assert json.loads(snippet.text) in told, snippet
        else:
            assert snippet.text in lines, snippet


async def test_every_address_on_the_start_page_answers(server: Running) -> None:
    async with server.client() as http:
        html = (await http.get("/")).text
        found = re.findall(rf"<dd><code>{server.url}(/\S+)</code></dd>", html)
        assert len(found) == 7
        for path in found:
            assert (await http.get(path)).status_code in (200, 400, 405), path


async def test_start_page_says_who_may_call(make_server: MakeServer) -> None:
    async with make_server(MCP_OAUTH_REQUIRE_AUTH="false", MCP_OAUTH_DYNAMIC_REGISTRATION="false") as server:
        async with server.client() as http:
            html = shown(await http.get("/"))
        assert "Callers without an access token may read" in html
        assert "/oauth/register" not in html


async def test_start_page_of_a_server_without_oauth_offers_no_account(make_server: MakeServer) -> None:
    async with make_server(ENABLE_MCP_OAUTH="false") as server, server.client() as http:
        html = shown(await http.get("/"))
        assert "OAuth is switched off" in html
        assert "/account" not in html
        assert "/oauth/authorize" not in html
        style = re.search(r'href="(/oauth/style-[0-9a-f]+\.css)"', html)
        assert style is not None
        assert (await http.get(style[1])).status_code == 200
        for path in ("/account", "/oauth/token", "/.well-known/oauth-authorization-server"):
            reply = await http.get(path)
            assert (reply.status_code, reply.json()["error"]) == (404, "not_found")
            assert "ENABLE_MCP_OAUTH=false" in reply.json()["error_description"]


@pytest.mark.requirement("TR-08")
async def test_client_that_was_given_the_bare_origin_is_told_the_endpoint(server: Running) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    async with server.client() as http:
        posted = await http.post("/", json=body, headers={"Accept": "application/json, text/event-stream"})
        listening = await http.get("/", headers=EVENTS)
    assert (posted.status_code, posted.headers["allow"]) == (405, "GET, HEAD")
    assert listening.status_code == 404
    for reply in (posted, listening):
        assert reply.headers["content-type"] == "application/json"
        assert reply.json()["error_description"].endswith(f"The MCP endpoint is {server.url}/mcp")


async def test_browser_at_the_mcp_endpoint_is_told_what_it_is(server: Running) -> None:
    async with server.client() as http:
        reply = await http.get("/mcp", headers=NAVIGATION)
        html = shown(reply, 401)
        assert "This is the MCP endpoint" in html
        assert f"Add {server.url}/mcp to your MCP client." in html
        assert '<a href="/">' in html
        # The challenge is for whoever can use it.
        assert reply.headers["www-authenticate"].startswith("Bearer resource_metadata=")
        for headers in ({"Accept": "text/html"}, EVENTS, {"Sec-Fetch-Mode": "cors"}):
            plain = await http.get("/mcp", headers=headers)
            assert (plain.status_code, plain.headers["content-type"]) == (401, "application/json")
        assert (await http.post("/mcp", headers=NAVIGATION)).headers["content-type"] == "application/json"


async def test_browser_at_the_mcp_endpoint_of_an_open_server_is_told_too(make_server: MakeServer) -> None:
    async with make_server(ENABLE_MCP_OAUTH="false") as server, server.client() as http:
        reply = await http.get("/mcp", headers=NAVIGATION)
        assert "This is the MCP endpoint" in shown(reply, 405)
        assert reply.headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/register", "/oauth/revoke", "/oauth/introspect"])
async def test_browser_at_an_endpoint_for_applications_is_told_so(server: Running, path: str) -> None:
    async with server.client() as http:
        reply = await http.get(path, headers=NAVIGATION)
        html = shown(reply, 405)
        assert "This address is for applications" in html
        assert "answers POST, not GET." in html
        assert reply.headers["allow"] == "POST"
        plain = await http.get(path, headers={"Accept": "text/html"})
        assert (plain.status_code, plain.json()["error"]) == (405, "invalid_request")
        posted = await http.post(path, headers=NAVIGATION)
        assert (posted.status_code, posted.json()["error"]) == (400, "invalid_request")


async def test_wrong_address_is_told_as_a_page_to_a_person_and_as_json_to_a_program(server: Running) -> None:
    async with server.client() as http:
        for path in ("/nowhere", "/mcp/sse", "/oauth", "/oauth/authorise", "/favicon.ico"):
            html = shown(await http.get(path, headers=NAVIGATION), 404)
            assert "There is nothing here" in html
            assert f"The MCP endpoint is {server.url}/mcp" in html
            for method in ("GET", "POST", "DELETE"):
                reply = await http.request(method, path)
                assert (reply.status_code, reply.json()["error"]) == (404, "not_found")
        hostile = "/%3Cscript%3Ealert(1)%3C/script%3E"
        assert "script" not in (await http.get(hostile, headers=NAVIGATION)).text


async def test_what_asks_for_no_path_at_all_is_told_the_same(server: Running) -> None:
    async with server.client() as http:
        for target in (b"*", b"*/"):
            reply = await http.options("/", extensions={"target": target})
            assert (reply.status_code, reply.headers["content-type"]) == (404, "application/json"), target
            assert (reply.headers["cache-control"], reply.json()["error"]) == ("no-store", "not_found")
        for path in ("/oauth/token/", "/healthz/", "/oauth/register/x/"):  # no path but MCP's leads to another
            assert (await http.get(path)).status_code == 404
