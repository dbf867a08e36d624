"""The interactive view of a compliance report in Chromium, embedded as a host with MCP Apps embeds it."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.async_api import Browser

from tests.browser.conftest import RUN_AXE
from tests.support.apps_host import host, until
from tests.support.mcp_http import mcp_client, token_for
from tests.support.npm import TEST_SECONDS
from tests.support.server import Running

EVIL = (
    "<img src=x onerror=\"parent.postMessage('hacked', '*')\"></script><script>parent.postMessage('hacked', '*')"
    "</script>\u202edesrever\u2066\x1b[31mred\x07 {{7*7}}"
)


@dataclass
class Served:
    """What the server has for the view."""

    html: str
    report: dict[str, Any]


@pytest.fixture(scope="module")
async def served(server: Running) -> Served:
    """The page, and a report in which a few checks are made to fail."""
    async with mcp_client(server, await token_for(server, "mcp:admin"), "auto") as client:
        result = await client.call_tool("mcp_oauth_check_compliance", {"depth": "active"})
        html = (await client.read_resource("ui://oauth/compliance.html"))[0].text
    report = json.loads(json.dumps(result.structured_content))
    spoilt = {"asm-pkce-s256": "fail", "bearer-garbage": "fail", "cors-discovery": "warn", "jwks-strength": "error"}
    for check in report["checks"]:
        check["status"] = spoilt.get(check["id"], check["status"])
    report["left"] = ["The client abc123 was registered and could not be deleted."]
    return Served(html, report)


async def test_the_view_introduces_itself_and_shows_what_failed_first(chromium: Browser, served: Served) -> None:
    async with host(chromium, served.html) as at:
        (hello,) = await at.sent("ui/initialize")
        assert hello["params"]["protocolVersion"] == "2026-01-26"
        assert await at.view.get_by_role("status").inner_text() == "Waiting for the report…"
        await at.tell(
            "ui/notifications/tool-input", {"arguments": {"server_url": "https://a.example", "depth": "active"}}
        )
        await at.view.get_by_text("Checking https://a.example, depth active…").wait_for()
        await at.show(served.report)
        rows = await at.rows()
        order = ["fail", "fail", "warn", "error"]
        assert [row[0] for row in rows[:4]] == order
        assert {row[0] for row in rows[4:]} <= {"skip", "pass"}
        assert len(rows) == len(served.report["checks"])
        first = at.view.locator("details").first
        assert await first.get_attribute("open") is not None
        spoilt = next(check for check in served.report["checks"] if check["id"] == "asm-pkce-s256")
        text = await first.inner_text()
        for shown in (spoilt["title"], spoilt["summary"], spoilt["fix"], spoilt["evidence"][0]["request"]):
            assert shown in text
        assert await at.view.get_by_text("could not be deleted").is_visible()
        (height,) = {sent["params"]["height"] for sent in (await at.sent("ui/notifications/size-changed"))[-1:]}
        assert height > 900


async def test_filters_narrow_the_list_and_chips_are_buttons(chromium: Browser, served: Served) -> None:
    checks = served.report["checks"]
    async with host(chromium, served.html) as at:
        await at.show(served.report)
        await at.view.get_by_label("Role").select_option("resource server")
        assert len(await at.rows()) == sum(check["role"] == "resource server" for check in checks)
        await at.view.get_by_label("Level").select_option("MUST")
        rows = await at.rows()
        kept = [check for check in checks if (check["role"], check["level"]) == ("resource server", "MUST")]
        assert sorted(row[2] for row in rows) == sorted(check["title"] for check in kept)
        assert await at.view.locator("#shown").inner_text() == f"{len(kept)} of {len(checks)} checks"
        await at.view.get_by_role("button", name="1 warn").click()
        assert await at.rows() == []
        await at.view.get_by_label("Level").select_option("all")
        await at.view.get_by_label("Role").select_option("all")
        assert [row[0] for row in await at.rows()] == ["warn"]
        await at.view.get_by_role("button", name="1 warn").click()
        assert len(await at.rows()) == len(checks)


@pytest.mark.requirement("attack-77")
async def test_a_hostile_report_stays_text(chromium: Browser, served: Served) -> None:
    def poisoned(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: poisoned(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [poisoned(inner) for inner in value]
        return value + EVIL if isinstance(value, str) else value

    evil = poisoned(served.report)
    evil["checks"] += [None, 7, "text", {}, {"evidence": [None, 1], "sources": [None], "title": {"toString": 1}}]
    evil["checks"][0] |= {
        "sources": [{"document": "d", "section": "s", "url": "javascript:parent.postMessage('hacked','*')"}]
    }
    async with host(chromium, served.html) as at:
        await at.show(evil)
        await at.view.locator("details").evaluate_all("all => all.forEach(d => { d.open = true })")
        text = await at.view.locator("main").inner_text()
        assert '<img src=x onerror="' in text
        assert "\\u{202e}desrever\\u{2066}\\u{001b}[31mred\\u{0007}" in text
        assert not set("\u202e\u2066\x1b\x07") & set(text)
        assert await at.view.locator("img, a, iframe, svg, form").count() == 0
        assert await at.view.locator("script").count() == 1
        # What is no https URL is no link either.
        assert await at.view.get_by_text("d, s: javascript:").count() == 1
        assert await at.view.get_by_role("button", name="d, s", exact=True).count() == 0
        assert await at.page.evaluate("sent.filter(s => s?.jsonrpc !== '2.0')") == []
        # What the page's own policy says of what the list above might have missed.
        refused = await at.view.evaluate(
            "() => { try { document.body.innerHTML = '<b>' } catch (e) { return e.name } }"
        )
        assert refused == "TypeError"
        assert ["TrustedHTML" in complaint for complaint in at.complaints] == [True]
        at.complaints.clear()


async def test_links_open_through_the_host_and_only_https(chromium: Browser, served: Served) -> None:
    async with host(chromium, served.html) as at:
        await at.show(served.report)
        source = next(check for check in served.report["checks"] if check["id"] == "asm-pkce-s256")["sources"][0]
        await at.view.locator("details").first.get_by_role("button").first.click()
        await at.until("sent.some(s => s.method === 'ui/open-link')")
        (asked,) = await at.sent("ui/open-link")
        assert asked["params"] == {"url": source["url"]}
        assert source["url"].startswith("https://")


async def test_errors_and_cancellation_are_said_and_the_host_is_answered(chromium: Browser, served: Served) -> None:
    async with host(chromium, served.html) as at:
        said = at.view.get_by_role("status")
        refused = {"isError": True, "content": [{"type": "text", "text": "server_url: <b>no</b>"}]}
        await at.tell("ui/notifications/tool-result", refused)
        assert await said.inner_text() == "server_url: <b>no</b>"
        await at.tell("ui/notifications/tool-cancelled", {"reason": "user"})
        assert await said.inner_text() == "The check was cancelled."
        for number, method in enumerate(("ping", "ui/resource-teardown", "tools/list"), 100):
            await at.tell(method, {}, id=number)
        await at.until("sent.some(s => s.id === 102)")
        answers = await at.page.evaluate("sent.filter(s => s.id >= 100)")
        assert [answer.get("result", answer.get("error", {}).get("code")) for answer in answers] == [{}, {}, -32601]
        # A message from anybody but the host is nobody's.
        await at.view.evaluate(
            "r => window.postMessage({jsonrpc: '2.0', method: 'ui/notifications/tool-result', params: r})", refused
        )
        assert await said.inner_text() == "The check was cancelled."


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_the_host_s_theme_and_colours_are_taken_over(chromium: Browser, served: Served, theme: str) -> None:
    variables = {"--color-text-primary": "light-dark(rgb(1, 2, 3), rgb(4, 5, 6))"}
    async with host(chromium, served.html, theme, styles={"variables": variables}) as at:
        await at.show(served.report)
        colour = "getComputedStyle(document.body)"
        assert await at.view.evaluate(f"{colour}.color") == {"light": "rgb(1, 2, 3)", "dark": "rgb(4, 5, 6)"}[theme]
        ground = {"light": "rgb(255, 255, 255)", "dark": "rgb(24, 31, 34)"}
        assert await at.view.evaluate(f"{colour}.backgroundColor") == ground[theme]
        await at.tell("ui/notifications/host-context-changed", {"theme": "light"})
        await until(at.view, f"{colour}.backgroundColor === '{ground['light']}'")


@pytest.mark.timeout(TEST_SECONDS)
@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_axe_finds_nothing_on_the_view(chromium: Browser, served: Served, axe: str, theme: str) -> None:
    async with host(chromium, served.html, theme) as at:
        await at.show(served.report)
        await at.view.evaluate(axe)
        found = await at.view.evaluate(RUN_AXE)
    assert (found["violations"], found["incomplete"]) == ([], [])
    assert found["passes"] > 0
