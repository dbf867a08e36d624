"""The interactive view is announced as MCP Apps asks for, and its page needs nothing but itself."""

import base64
import hashlib
import re
from typing import Any

import pytest
from fastmcp import Client

from tests.support.mcp_http import ask, result, token_for
from tests.support.server import Running

TOOL, VIEW, MIME = "mcp_oauth_check_compliance", "ui://oauth/compliance.html", "text/html;profile=mcp-app"
NO_DOMAINS: dict[str, list[str]] = {
    name: [] for name in ("connectDomains", "resourceDomains", "frameDomains", "baseUriDomains")
}
SELF_CONTAINED = re.compile(
    r"\b(src|href|srcset|action)\s*=|@import|url\(|\bon\w+=|<link|<base|<iframe|<object|innerHTML"
)


async def test_the_tool_names_its_view_and_no_other_tool_has_one(admin: Client[Any]) -> None:
    views = {tool.name: (tool.meta or {}).get("ui") for tool in await admin.list_tools()}
    assert {name: view for name, view in views.items() if view} == {TOOL: {"resourceUri": VIEW}}


async def test_the_page_is_listed_and_read_with_its_type_and_a_policy_of_no_other_origin(admin: Client[Any]) -> None:
    (listed,) = [found for found in await admin.list_resources() if str(found.uri) == VIEW]
    (content,) = await admin.read_resource(VIEW)
    for found in (listed, content):
        assert found.mime_type == MIME
        assert found.meta is not None
        assert found.meta["ui"] == {"csp": NO_DOMAINS, "prefersBorder": True}
    assert listed.title
    assert listed.description
    assert content.text.startswith("<!doctype html>")


@pytest.mark.requirement("attack-77")
async def test_the_page_loads_nothing_and_admits_its_own_script_alone(admin: Client[Any]) -> None:
    html = (await admin.read_resource(VIEW))[0].text
    assert SELF_CONTAINED.search(html) is None
    for tag in ("script", "style"):
        (inline,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}';" in html
        assert html.count(f"<{tag}") == 1
    assert "default-src 'none';" in html
    assert "require-trusted-types-for 'script'" in html


async def test_the_extension_is_announced_where_the_protocol_carries_it(shared: Running) -> None:
    # Revisions before 2026-07-28 have no extensions among a server's capabilities; hosts read the tool's _meta.
    async with shared.client() as http:
        token = await token_for(shared, "mcp:read")
        offered = result(await ask(http, "modern", "server/discover", {}, token))["capabilities"]
    assert "io.modelcontextprotocol/ui" in offered["extensions"]


async def test_a_result_is_the_same_for_hosts_without_apps(admin: Client[Any]) -> None:
    found = await admin.call_tool(TOOL)
    assert [block.type for block in found.content] == ["text"]
    assert set(found.structured_content) >= {"target", "summary", "checks", "left"}
    assert "ui" not in (found.meta or {})
