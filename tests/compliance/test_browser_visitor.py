"""The visitor that is a person: their browser is opened, and comes back to a listener that strangers cannot upset."""

import queue
import socket
import threading
import webbrowser
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.to_thread
import httpx2
import pytest

from oauth_server.compliance import browser as module
from oauth_server.compliance.browser import REQUEST_BYTES, BrowserVisitor, listening
from oauth_server.outbound import OutboundError
from tests.support.browser import Browser, query_of
from tests.support.oauth import OAuthClient, Pkce
from tests.support.server import Running

Opened = queue.SimpleQueue[str]
AUTHORIZE = "https://as.example/authorize?state=one"


async def get(url: str, **options: Any) -> httpx2.Response:
    async with httpx2.AsyncClient() as http:
        return await http.get(url, **options)


async def visited(
    visitor: BrowserVisitor, opened: Opened, then: Callable[[str], Awaitable[object]], url: str = AUTHORIZE
) -> str:
    """Visit a URL while somebody does something in the browser that was opened; where the visit ended."""
    found = []

    async def visit() -> None:
        found.append(await visitor.visit(url))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(visit)
        await then(await anyio.to_thread.run_sync(opened.get))
    assert not found[0].trail
    return str(found[0].location)


async def test_a_person_signs_in_and_consents_in_their_own_browser(server: Running, browser: Browser) -> None:
    opened = Opened()
    said: list[str] = []

    async def person(url: str) -> None:
        page = await get(await browser.authorize(url))
        assert page.status_code == 200
        assert "You can close this tab" in page.text
        assert "script" not in page.text
        assert page.headers["content-security-policy"].startswith("default-src 'none'")
        assert page.headers["cache-control"] == "no-store"

    async with listening(said.append, lambda url: not opened.put(url), most=4) as visitor:
        client = await OAuthClient.register(server, redirect_uris=[visitor.redirect_uri])
        for _ in range(2):
            location = await visited(visitor, opened, person, client.url(Pkce.new(), state=str(len(said))))
            assert location.startswith(f"{visitor.redirect_uri}?")
            assert "code" in query_of(location)
        await client.close()
    assert [line.partition(":")[0] for line in said] == ["Consent 1 of at most 4", "Consent 2 of at most 4"]
    with pytest.raises(httpx2.ConnectError):
        await get(visitor.redirect_uri)


async def test_a_late_answer_is_not_taken_for_that_of_the_next_visit() -> None:
    opened = Opened()

    async def late(url: str) -> None:
        assert (await get(f"{visitor.redirect_uri}?code=late&state=one")).status_code == 200
        await get(f"{visitor.redirect_uri}?code=now&state=two")

    async with listening(lambda _: None, lambda url: not opened.put(url)) as visitor:
        await visited(visitor, opened, lambda _: get(f"{visitor.redirect_uri}?code=1&state=one"))
        location = await visited(visitor, opened, late, AUTHORIZE.replace("one", "two"))
    assert query_of(location)["code"] == "now"


async def test_nobody_is_waited_for_longer_than_allowed() -> None:
    said: list[str] = []
    stopped = threading.Event()

    def terminal_browser(url: str) -> bool:
        return stopped.wait(30)

    async with listening(said.append, terminal_browser, seconds=0.05) as visitor:
        with anyio.fail_after(10):
            assert (await visitor.visit(AUTHORIZE)).location == ""
    stopped.set()
    assert said[-1] == "Consent 1: nothing came back."


@pytest.mark.parametrize("failure", [None, webbrowser.Error("no browser"), OSError("no such file")])
async def test_where_no_browser_opens_the_url_is_told_and_opened_by_hand(failure: Exception | None) -> None:
    said = Opened()

    def none(url: str) -> bool:
        if failure is not None:
            raise failure
        return False

    async def by_hand(line: str) -> None:
        assert line.startswith("Consent 1: ")
        told = await anyio.to_thread.run_sync(said.get)
        assert told == f"No browser could be opened here. Open this yourself: {AUTHORIZE}"
        await get(f"{visitor.redirect_uri}?code=1")

    async with listening(said.put, none) as visitor:
        assert (await visited(visitor, said, by_hand)).endswith("code=1")


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "--help", "javascript:alert(1)", "https://a b/", "https://a/\x1b["]
)
async def test_only_a_url_of_the_web_is_opened(url: str) -> None:
    opened = Opened()
    async with listening(lambda _: None, lambda url: not opened.put(url)) as visitor:
        with pytest.raises(OutboundError):
            await visitor.visit(url)
    assert opened.empty()


async def raw(visitor: BrowserVisitor, sent: bytes) -> bytes:
    host, port = visitor.redirect_uri.split("/")[2].split(":")
    async with await anyio.connect_tcp(host, int(port)) as stream:
        received = b""
        try:
            await stream.send(sent)
            async for part in stream:
                received += part
        except anyio.BrokenResourceError:
            pass  # closed while more was coming
        return received


async def test_what_is_no_callback_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REQUEST_SECONDS", 0.2)
    opened = Opened()
    refused = {
        b"GET /favicon.ico HTTP/1.1\r\n\r\n": b"404",
        b"GET /callback/x HTTP/1.1\r\n\r\n": b"404",
        b"POST /callback?code=1 HTTP/1.1\r\n\r\n": b"400",
        b"GET http://127.0.0.1/callback HTTP/1.1\r\n\r\n": b"400",
        b"GET /callback?\x00 HTTP/1.1\r\n\r\n": b"400",
        b"GET /callback?\xff HTTP/1.1\r\n\r\n": b"400",
        b"\r\n\r\n": b"400",
        b"x" * (REQUEST_BYTES + 1): b"400",
        b"GET /callback": b"",
    }

    async def strangers(_: str) -> None:
        for sent, status in refused.items():
            assert (await raw(visitor, sent))[9:12] == status, sent
        answer = await raw(visitor, b"GET /callback?" + b"a&" * 60 + b"code=1 HTTP/1.1\r\n\r\n")
        assert answer[9:12] == b"200"

    async with listening(lambda _: None, lambda url: not opened.put(url)) as visitor:
        assert (await visited(visitor, opened, strangers)).endswith("code=1")


async def test_idle_connections_are_bounded_in_number_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECTIONS", 2)
    monkeypatch.setattr(module, "REQUEST_SECONDS", 0.3)
    async with listening(lambda _: None, lambda _: True) as visitor:
        host, port = visitor.redirect_uri.split("/")[2].split(":")
        idle = [socket.create_connection((host, int(port))) for _ in range(2)]
        assert await raw(visitor, b"GET /callback?code=1 HTTP/1.1\r\n\r\n") == b""
        for connection in idle:
            connection.settimeout(10)
            assert await anyio.to_thread.run_sync(connection.recv, 1) == b""
            connection.close()
        assert (await get(f"{visitor.redirect_uri}?code=1")).status_code == 200
