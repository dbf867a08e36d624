"""Answers as uvicorn gives them, with what it lacks: one packet for head and body, HTTP/1.0, and an orderly end."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from uvicorn._types import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class Joined:
    """A connection's transport as one answer sees it: the head waits for the first piece of the body.

    uvicorn writes them apart, which wakes server and client once more. It waits for the turn of the loop at most, since
    the body of a stream may come much later.
    """

    __slots__ = ("_begun", "_close", "_head", "_loop", "_transport")

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, close: Callable[[], None]
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._close = close
        self._begun = False
        self._head = b""

    def write(self, data: bytes) -> None:
        """Send what is written first with what comes next, and all the rest as it comes."""
        if self._begun:
            head, self._head = self._head, b""
            self._transport.write(head + data)
            return
        self._begun, self._head = True, data
        self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Send the head if it still waits."""
        if self._head:
            self.write(b"")

    def is_closing(self) -> bool:
        """Whether nothing more can be sent."""
        return self._transport.is_closing()

    def close(self) -> None:
        """Send what waits, and close the connection."""
        self.flush()
        self._close()


def send_to_the_end(cycle: RequestResponseCycle) -> Callable[[ASGISendEvent], Coroutine[Any, Any, None]]:
    """A `send` whose answers of unknown length last until the connection ends.

    For clients of HTTP/1.0, which know no chunks (RFC 9112 section 6.1).
    """
    send, unknown = cycle.send, False

    async def to_the_end(message: ASGISendEvent) -> None:
        nonlocal unknown
        if message["type"] == "http.response.start":
            # The SDK's streams ask for a connection that is kept.
            fields = [field for field in message.get("headers", ()) if field[0].lower() != b"connection"]
            message = {**message, "headers": fields}
            unknown = all(name.lower() != b"content-length" for name, _ in fields)
            if unknown:
                cycle.chunked_encoding = False
        elif unknown and message["type"] == "http.response.body":
            cycle.expected_content_length = len(message.get("body", b""))
        await send(message)

    return to_the_end


async def served(
    cycle: RequestResponseCycle,
    app: ASGI3Application,
    scope: Scope,
    receive: ASGIReceiveCallable,
    send: ASGISendCallable,
) -> None:
    """Serve one request. The server cancels it when its own end waits no longer; the app then answers for itself."""
    try:
        await app(scope, receive, send)
    except asyncio.CancelledError:
        if not cycle.response_complete:
            cycle.disconnected = True
            cycle.transport.close()
