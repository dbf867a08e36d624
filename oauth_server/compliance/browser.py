"""A visitor that is a person: opens their own browser, and waits at a loopback redirect URI (RFC 8252 section 7.3)."""

import webbrowser
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final
from urllib.parse import parse_qs

import anyio
import anyio.abc
from anyio.abc import SocketAttribute
from anyio.streams.buffered import BufferedByteReceiveStream

from oauth_server.compliance import urls
from oauth_server.compliance.visitor import Visit
from oauth_server.outbound import OutboundError

SECONDS: Final = 300.0  # that a person has for one consent
REQUEST_SECONDS: Final = 5.0
REQUEST_BYTES: Final = 16 * 1024
CONNECTIONS: Final = 20
HOST: Final = "127.0.0.1"
PATH: Final = "/callback"
_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>Done</title></head>
<body><h1>You can close this tab</h1><p>The check goes on; if it needs you again, another tab opens.</p></body>
</html>
"""
_HEADERS: Final = (
    "Content-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n"
    "Content-Security-Policy: default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
    "X-Content-Type-Options: nosniff\r\nConnection: close\r\n"
)


def open_browser(url: str) -> bool:
    """Open a URL in the person's browser; whether one could be opened."""
    return webbrowser.open(url)


class BrowserVisitor:
    """Opens URLs in a person's browser; made by `listening`, and one visit at a time.

    What the person was shown stays in their browser: a visit has no trail, and one that leads nowhere ends by its time.
    """

    watches = False

    def __init__(
        self,
        port: int,
        tell: Callable[[str], None],
        opening: Callable[[str], bool] = open_browser,
        seconds: float = SECONDS,
        most: int = 0,
    ) -> None:
        """`port`: where somebody calls `serve`; `tell`: takes a line for the person; `seconds`: for one visit.

        `most`: how many visits there may be, 0 where nobody knows.
        """
        self.redirect_uri = f"http://{HOST}:{port}{PATH}"
        self._tell = tell
        self._open = opening
        self._seconds = seconds
        self._most = f" of at most {most}" if most else ""
        self._visits = 0
        self._states: set[str] = set()
        self._location = ""
        self._arrived = anyio.Event()

    async def visit(self, url: str) -> Visit:
        """Open the URL in the browser and wait until it comes back; OutboundError when that is no URL to open."""
        if urls.read(url) is None:
            raise OutboundError("the authorization URL is none that a browser opens")
        self._visits += 1
        self._location, self._arrived = "", anyio.Event()
        minutes = f"{self._seconds / 60:g}"
        self._tell(
            f"Consent {self._visits}{self._most}: sign in and approve in your browser, within {minutes} minutes."
        )
        with anyio.move_on_after(self._seconds):
            if not await self._opened(url):
                self._tell(f"No browser could be opened here. Open this yourself: {url}")
            await self._arrived.wait()
        if not self._location:
            self._tell(f"Consent {self._visits}: nothing came back.")
        # An answer that comes late must not be taken for that of a later visit.
        self._states |= _state(url)
        return Visit(self._location)

    async def _opened(self, url: str) -> bool:
        try:
            # A browser of the terminal would hold the thread for as long as it runs.
            return await anyio.to_thread.run_sync(self._open, url, abandon_on_cancel=True)
        except (webbrowser.Error, OSError):
            return False

    async def serve(self, stream: anyio.abc.SocketStream) -> None:
        """Answer one request; what is no callback changes nothing."""
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError), anyio.move_on_after(REQUEST_SECONDS):
            target = await _target(stream)
            status, body = "404 Not Found" if target else "400 Bad Request", ""
            if target.partition("?")[0] == PATH:
                status, body = "200 OK", _PAGE
                self._arrive(target)
            head = f"HTTP/1.1 {status}\r\n{_HEADERS}Content-Length: {len(body)}\r\n\r\n"
            await stream.send((head + body).encode())

    def _arrive(self, target: str) -> None:
        if not _state(target) & self._states:
            self._location = urls.origin(self.redirect_uri) + target
            self._arrived.set()


@asynccontextmanager
async def listening(
    tell: Callable[[str], None],
    opening: Callable[[str], bool] = open_browser,
    seconds: float = SECONDS,
    most: int = 0,
) -> AsyncIterator[BrowserVisitor]:
    """Listen on a free port of 127.0.0.1 for as long as the visitor is used."""
    listener = await anyio.create_tcp_listener(local_host=HOST)
    port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - no Django here
    visitor = BrowserVisitor(port, tell, opening, seconds, most)
    free = anyio.CapacityLimiter(CONNECTIONS)

    async def serve(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            with suppress(anyio.WouldBlock):  # one too many is closed unread
                free.acquire_on_behalf_of_nowait(stream)
                try:
                    await visitor.serve(stream)
                finally:
                    free.release_on_behalf_of(stream)

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield visitor
        tasks.cancel_scope.cancel()


async def _target(stream: anyio.abc.SocketStream) -> str:
    """Read a request and return its target; empty for what is no GET of a path, or is too long."""
    try:
        head = await BufferedByteReceiveStream(stream).receive_until(b"\r\n\r\n", REQUEST_BYTES)
        method, target, _ = head.partition(b"\r\n")[0].decode("ascii").split(" ")
    except (anyio.DelimiterNotFound, anyio.IncompleteRead, ValueError):
        return ""
    return target if method == "GET" and target.startswith("/") and target.isprintable() else ""


def _state(url: str) -> set[str]:
    with suppress(ValueError):  # more fields than anybody sends
        return set(parse_qs(url.partition("?")[2], max_num_fields=50).get("state", []))
    return set()
