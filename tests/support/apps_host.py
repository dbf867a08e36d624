"""A host with MCP Apps: a page in Chromium that embeds a view in a sandboxed frame and speaks the host's side."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import Browser, Frame, Page

# What a host must enforce where a resource declares no other origin (MCP Apps, "Host Behavior"); the frame inherits it.
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "media-src 'self' data:; connect-src 'none'"
)
# Playwright's wait_for_function evaluates a string in the page, which its policy forbids.
UNTIL = "(test) => new Promise((done) => { const at = setInterval(() => { if (test()) { clearInterval(at); done(); } }, 10); })"
HOST = """([html, context]) => {
  window.sent = [];
  window.frame = document.createElement("iframe");
  frame.sandbox = "allow-scripts";
  frame.style.cssText = "width: 100%; border: 0";
  window.tell = (message) => frame.contentWindow.postMessage({ jsonrpc: "2.0", ...message }, "*");
  window.addEventListener("message", ({ source, data }) => {
    if (source !== frame.contentWindow) return;
    sent.push(data);
    if (data.method === "ui/initialize") {
      const result = { protocolVersion: "2026-01-26", hostInfo: { name: "test", version: "1" },
                       hostCapabilities: { openLinks: {} }, hostContext: context };
      tell({ id: data.id, result });
    }
    if (data.method === "ui/open-link") tell({ id: data.id, result: {} });
    if (data.method === "ui/notifications/size-changed") frame.style.height = `${data.params.height}px`;
  });
  frame.srcdoc = html;
  document.body.append(frame);
}"""


async def until(where: Page | Frame, condition: str) -> None:
    """Wait until an expression is true there."""
    async with asyncio.timeout(10):
        await where.evaluate(f"({UNTIL})(() => {condition})")


@dataclass
class Host:
    """A page that embeds the view and speaks the host's side."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    @property
    def view(self) -> Frame:
        (frame,) = self.page.main_frame.child_frames
        return frame

    async def sent(self, method: str) -> list[Any]:
        """The messages of this method that the view has sent."""
        found: list[Any] = await self.page.evaluate("m => sent.filter(s => s.method === m)", method)
        return found

    async def tell(self, method: str, params: dict[str, Any], **more: Any) -> None:
        await self.page.evaluate("message => tell(message)", {"method": method, "params": params, **more})

    async def until(self, condition: str) -> None:
        await until(self.page, condition)

    async def show(self, report: dict[str, Any]) -> None:
        """Send a result as the host does; returns when it is shown."""
        await self.tell("ui/notifications/tool-input", {"arguments": {}})
        content = [{"type": "text", "text": "The report as text."}]
        await self.tell("ui/notifications/tool-result", {"content": content, "structuredContent": report})
        await self.view.locator("#report").wait_for()

    async def rows(self) -> list[tuple[str, ...]]:
        """Status, level and title of each check that is shown, from top to bottom."""
        summaries = self.view.locator("details > summary")
        return [tuple(text.split("\n")) for text in await summaries.all_inner_texts()]


@asynccontextmanager
async def host(chromium: Browser, html: str, theme: str = "light", **context: Any) -> AsyncIterator[Host]:
    opened = await chromium.new_context(viewport={"width": 820, "height": 900})
    opened.set_default_timeout(10_000)
    page = await opened.new_page()
    found = Host(page)
    page.on("console", lambda message: found.complaints.append(message.text))
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.on("request", lambda request: found.complaints.append(request.url))
    await page.set_content(
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><body style="margin: 0"></body>'
    )
    await page.evaluate(HOST, [html, {"theme": theme, **context}])
    await found.until("sent.some(s => s.method === 'ui/notifications/initialized')")
    try:
        yield found
    finally:
        await opened.close()
    assert found.complaints == []
