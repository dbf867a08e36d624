"""JSON-RPC batches, which MCP 2025-03-26 has and no later version (2025-03-26, Base Protocol "Batching")."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oauth_server.gate.answers import STREAM_HEAD, event

VERSION = "2025-03-26"  # assumed, too, where the header that later versions have is missing
MOST = 20  # messages of a batch
_TAKEN = [(b"content-length", b"0")]
_REFUSAL = 400  # the first status that says so


class _Answers:
    """Takes the answers to the messages of a batch one after the other, and sends one answer to all of them.

    `asks`: whether a message asks for an answer. The answer is then a stream of events, else an empty 202.
    """

    def __init__(self, send: Send, *, asks: bool) -> None:
        self._send = send
        self._asks = asks
        self._begun = False
        self._streams = False
        self._whole = b""
        self.refused = False

    async def take(self, message: Message) -> None:
        """Take one ASGI message of an answer."""
        if message["type"] == "http.response.start":
            await self._begin(message)
        if self.refused:
            await self._send(message)
        elif message["type"] == "http.response.body" and self._asks:
            await self._hand_on(message)

    async def _begin(self, start: Message) -> None:
        # No message is refused by its HTTP status once the gate let it pass: such a status is an error of this server.
        self.refused = not self._begun and start["status"] >= _REFUSAL
        if not self._begun and not self.refused:
            head = STREAM_HEAD if self._asks else _TAKEN
            await self._send({"type": "http.response.start", "status": 200 if self._asks else 202, "headers": head})
        self._begun = True
        headers: Mapping[bytes, bytes] = dict(start.get("headers", []))
        self._streams = headers.get(b"content-type", b"").startswith(b"text/event-stream")
        self._whole = b""

    async def _hand_on(self, message: Message) -> None:
        body: bytes = message.get("body", b"")
        if not self._streams:
            self._whole += body
            body = b""
            if not message.get("more_body", False) and self._whole.strip():
                body = event(self._whole)
        if body:
            await self._send({"type": "http.response.body", "body": body, "more_body": True})


async def answer(app: ASGIApp, scope: Scope, messages: Sequence[Any], receive: Receive, send: Send) -> None:
    """Let the app answer each message by itself, in order, and stream what it says; 202 where none asks for an answer.

    Where the app fails before the first answer, its error is the answer to all. `messages`: as JSON has them; each was
    judged before.
    """
    answers = _Answers(send, asks=any("id" in message and "method" in message for message in messages))
    inner = {**scope, "headers": [pair for pair in scope["headers"] if pair[0].lower() != b"content-length"]}
    for message in messages:
        await app({**inner}, replay(json.dumps(message).encode(), receive), answers.take)
        if answers.refused:
            return
    await send({"type": "http.response.body", "body": b""})


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
