"""The form of an answer at /mcp: JSON, or a stream of events (MCP "Sending Messages to the Server").

The SDK answers some requests in one form and some in the other. What it gives is turned into the form that the client's
Accept allows.
"""

import json
from typing import Literal

from starlette.types import Message, Send

Form = Literal["json", "stream", "either"]
STREAM_HEAD = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
_OK = 200
_JSON = b"application/json"


def event(data: bytes) -> bytes:
    """One JSON text as an event of a stream."""
    return b"event: message\r\ndata: " + data.replace(b"\n", b" ") + b"\r\n\r\n"


def in_form(form: Form, send: Send, *, several: bool) -> Send:
    """A `send` that gives the answer this form. `several`: the answers to a batch, as JSON an array."""
    if form == "json":
        return _AsJson(send, several=several).take
    return _AsStream(send).take if form == "stream" else send


class _AsJson:
    """Reads a stream of events to its end, and sends the answers in it; notifications on the way are left out."""

    def __init__(self, send: Send, *, several: bool) -> None:
        self._send = send
        self._several = several
        self._head: Message | None = None
        self._whole = b""

    async def take(self, message: Message) -> None:
        """Take one ASGI message of an answer."""
        if message["type"] == "http.response.start" and _media_type(message) == b"text/event-stream":
            self._head = message
        elif self._head is None or message["type"] != "http.response.body":
            await self._send(message)
        else:
            self._whole += message.get("body", b"")
            if not message.get("more_body", False):
                await self._finish(self._head)

    async def _finish(self, head: Message) -> None:
        lines = (line[5:].strip() for line in self._whole.splitlines() if line.startswith(b"data:"))
        found = [line for line in lines if line and "method" not in json.loads(line)]
        body = b"[" + b",".join(found) + b"]" if self._several else found[-1]
        fields = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
        ]
        await self._send({**head, "headers": fields})
        await self._send({"type": "http.response.body", "body": body})


class _AsStream:
    """Sends a successful JSON answer as the one event of a stream; errors keep their status and form."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._whole: bytes | None = None

    async def take(self, message: Message) -> None:
        """Take one ASGI message of an answer."""
        if message["type"] == "http.response.start" and message["status"] == _OK and _media_type(message) == _JSON:
            self._whole = b""
            await self._send({**message, "headers": STREAM_HEAD})
        elif self._whole is None or message["type"] != "http.response.body":
            await self._send(message)
        else:
            self._whole += message.get("body", b"")
            if not message.get("more_body", False):
                await self._send({"type": "http.response.body", "body": event(self._whole)})


def _media_type(start: Message) -> bytes:
    found: bytes = dict(start.get("headers", ())).get(b"content-type", b"")
    return found.partition(b";")[0].strip()
