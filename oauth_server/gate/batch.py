"""JSON-RPC batches, which MCP 2025-03-26 has and no later version (2025-03-26, Base Protocol "Batching")."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

VERSION = "2025-03-26"  # assumed, too, where the header that later versions have is missing
MOST = 20  # messages of a batch
_STREAM = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]


class _Events:
    """Takes the answer to one message, and hands its body on as events of the batch's stream."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._streams = False
        self._whole = b""

    async def take(self, message: Message) -> None:
        """Take one ASGI message of the answer."""
        if message["type"] == "http.response.start":
            headers: Mapping[bytes, bytes] = dict(message.get("headers", []))
            self._streams = headers.get(b"content-type", b"").startswith(b"text/event-stream")
            return
        body: bytes = message.get("body", b"")
        if not self._streams:
            self._whole += body
            body = b""
            if not message.get("more_body", False) and self._whole.strip():
                body = b"event: message\r\ndata: " + self._whole.replace(b"\n", b" ") + b"\r\n\r\n"
        if body:
            await self._send({"type": "http.response.body", "body": body, "more_body": True})


async def answer(app: ASGIApp, scope: Scope, messages: Sequence[Any], receive: Receive, send: Send) -> None:
    """Let the app answer each message by itself, in order, and stream what it says; 202 where none asks for an answer.

    `messages`: as JSON has them; each was judged before.
    """
    asks = any("id" in message and "method" in message for message in messages)
    if asks:
        await send({"type": "http.response.start", "status": 200, "headers": _STREAM})
    inner = {**scope, "headers": [pair for pair in scope["headers"] if pair[0].lower() != b"content-length"]}
    for message in messages:
        await app({**inner}, replay(json.dumps(message).encode(), receive), _Events(send if asks else _nowhere).take)
    if not asks:
        await send({"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def _nowhere(message: Message) -> None:
    """Drop what nobody asked for."""


def replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that brings this body first."""
    sent = False

    async def receive_again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
