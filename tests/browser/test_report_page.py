"""The HTML report in a real browser: accessible in light and dark, on the narrowest telephone, loading nothing."""

import json
from pathlib import Path

import pytest

from oauth_server.compliance.reports import render
from oauth_server.compliance.reports.assessment import Assessment
from oauth_server.compliance.reports.baseline import compare, read
from tests.browser.conftest import RUN_AXE, Desk
from tests.support.npm import TEST_SECONDS
from tests.support.reports import report, with_statuses


@pytest.mark.timeout(TEST_SECONDS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_on_a_report_and_its_policy_blocks_nothing(
    desk: Desk, axe: str, tmp_path: Path, scheme: str
) -> None:
    before = read(json.dumps(with_statuses().as_dict()).encode())
    path = tmp_path / "report.html"
    path.write_text(render("html", Assessment(report(), changes=compare(report(), before))), encoding="utf-8")
    page = await desk.page(color_scheme=scheme)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: said.append(request.url))
    await page.goto(path.as_uri())
    assert said == [path.as_uri()]
    # The policy lets the page's own style in: without it, the text is as wide as the window.
    assert await page.evaluate("document.querySelector('main').clientWidth") < 900
    await page.evaluate("for (const folded of document.querySelectorAll('details')) folded.open = true")
    await page.evaluate(axe)
    found = await page.evaluate(RUN_AXE)
    assert (found["violations"], found["incomplete"]) == ([], [])
    assert found["passes"] > 0
    await page.set_viewport_size({"width": 320, "height": 600})
    assert await page.evaluate("document.documentElement.scrollWidth") == 320
