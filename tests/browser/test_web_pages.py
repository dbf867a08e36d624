"""Chromium on a page of another origin that floods this server in its visitor's name."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from oauth_server.core.policies import AUTHORIZATIONS, REFUSALS
from tests.browser.conftest import Desk, sign_in

LOADS = 20


@pytest.fixture
async def flooding(desk: Desk) -> AsyncIterator[str]:
    """The address of a page that loads the authorization endpoint as images, frames and fetches, and posts forms."""
    issuer = desk.server.url
    body = f"""<!doctype html><title>evil</title>
{"".join(f'<img src="{issuer}/oauth/authorize?n={n}"><iframe src="{issuer}/oauth/authorize?f={n}"></iframe>' for n in range(LOADS))}
<script>
const form = () => ({{method: "POST", mode: "no-cors", body: new URLSearchParams({{grant_type: "x", client_id: "x", token: "t"}})}});
const asks = [];
for (let n = 0; n < {LOADS}; n++) {{
  asks.push(fetch("{issuer}/oauth/authorize?n=x" + n, {{mode: "no-cors"}}));
  for (const path of ["/oauth/token", "/oauth/revoke", "/oauth/introspect"]) asks.push(fetch("{issuer}" + path, form()));
}}
Promise.allSettled(asks).then(() => document.title = "done");
</script>""".encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        with suppress(ConnectionError):
            await writer.drain()
            writer.close()
            await writer.wait_closed()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://localhost:{listener.sockets[0].getsockname()[1]}/"
    listener.close()
    await listener.wait_closed()


@pytest.mark.requirement("attack-26")
async def test_page_that_floods_leaves_its_visitor_able_to_sign_in_and_their_programs_served(
    desk: Desk, flooding: str
) -> None:
    limits = desk.server.services.rate_limits
    # Nearly full: of each kind the page sends more than there is room for.
    for policy in (AUTHORIZATIONS, REFUSALS):
        for _ in range(policy.quota - LOADS // 2):
            limits.count(policy, "127.0.0.1")
    page = await (await desk.profile()).new_page()
    await page.goto(flooding, wait_until="load")
    await page.wait_for_function("document.title === 'done'")
    refused = await desk.client.refresh("unknown")
    assert refused.status_code == 400
    await page.goto(desk.url())
    await sign_in(page)
    assert await page.get_by_role("button", name="Approve").is_visible()
