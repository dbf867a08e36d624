"""What the document names exists, and what exists is named in the document or in the list of what came after it."""

import hashlib
import re

import fastmcp
import pytest
from starlette.routing import Route

from tests.document.reading import DOCUMENT
from tests.support.browser import Browser
from tests.support.oauth import OAuthClient
from tests.support.server import Running

TEXT = DOCUMENT.read_text(encoding="utf-8")
LISTED = re.compile(r"^- `(/\S+)` - ", re.MULTILINE)
# Endpoints of newer standards, and what a browser or an operator needs; README.md tells of them.
LATER = {
    "/.well-known/oauth-protected-resource/mcp",  # RFC 9728 section 3.1, the metadata of /mcp
    "/oauth/register/{client_id}",  # RFC 7592
    "/oauth/revoke",  # RFC 7009
    "/oauth/introspect",  # RFC 7662
    "/oauth/logout",  # OpenID Connect RP-Initiated Logout
    "/authorize",  # the default endpoints of revision 2025-03-26
    "/token",
    "/register",
    "/oauth/style-….css",
    "/",  # the start page
    "/account",
    "/s/{place}/account",  # the pages again, where a browser is signed in at an http issuer
    "/s/{place}/oauth/authorize",
    "/s/{place}/oauth/logout",
    "/healthz",
    "/readyz",
    "/routez",
    "/mcp",
    "/mcp/",  # leads to /mcp
}


def test_document_is_the_one_that_was_given() -> None:
    assert hashlib.sha256(DOCUMENT.read_bytes()).hexdigest() == (
        "789a561f3b5ff5f9324a5123b3f58890bc9a1ad37fd640400948e7a60cbe7384"
    )


def served(server: Running) -> set[str]:
    """The paths of the running server's own route table, those of FastMCP's app included."""
    face = server.server._face
    assert face is not None
    paths = [route.path for route in face.routes if isinstance(route, Route)]
    assert len(paths) == len(face.routes)
    gate = next(route.app for route in face.routes if isinstance(route, Route) and route.path == "/mcp")
    assert {route.path for route in gate._starlette.routes} == {"/mcp"}
    return {re.sub(r"style-[0-9a-f]+", "style-…", path) for path in paths}


async def test_document_names_every_endpoint_there_is(server: Running) -> None:
    named = LISTED.findall(TEXT)
    assert len(named) == len(set(named)) == 9
    assert served(server) == {*named, *LATER}


@pytest.mark.parametrize("path", LISTED.findall(TEXT))
async def test_every_endpoint_the_document_names_answers(path: str, server: Running) -> None:
    async with server.client() as http:
        statuses = {(await http.request(method, path)).status_code for method in ("GET", "POST")}
    assert statuses <= {200, 400, 401, 405}
    assert statuses != {405}


@pytest.mark.requirement("regression-1")
async def test_document_names_every_tool_there_is(server: Running, browser: Browser, client: OAuthClient) -> None:
    section = TEXT.split("## MCP Tools for OAuth Management")[1].split("\n## ")[0]
    named = re.findall(r"^- `(mcp_oauth_\w+)` - ", section, re.MULTILINE)
    assert len(named) == len(set(named)) == 6
    tokens = await client.tokens(browser)
    async with fastmcp.Client(f"{server.url}/mcp", auth=tokens["access_token"]) as connected:
        assert {tool.name for tool in await connected.list_tools()} == set(named)
    assert set(re.findall(r"\bmcp_oauth_\w+", TEXT)) == set(named)
