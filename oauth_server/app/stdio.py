"""MCP over stdin and stdout: one client, which may have sent all it has and closed its side before it is answered.

Source: MCP transports "stdio". The SDK reads what is valid; it leaves what is not without an answer, and cancels at the
end of stdin what is at work.
"""

import logging
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Final, Self

import anyio
from mcp.server.stdio import stdio_server
from mcp.shared._stream_protocols import ReadStream, WriteStream
from mcp.shared.message import SessionMessage
from mcp_types.jsonrpc import (
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)

from oauth_server.gate.decoding import decode
from oauth_server.gate.message import UndecodableError

_CANCELLED: Final = "notifications/cancelled"
logger = logging.getLogger(__name__)


class _Unanswered:
    """The ids of requests that have no answer yet."""

    def __init__(self) -> None:
        self._ids: Counter[object] = Counter()
        self._fewer = anyio.Event()

    def note(self, message: JSONRPCMessage) -> None:
        """Note what a client sent: a request, or that it waits for one no longer."""
        if isinstance(message, JSONRPCRequest):
            self._ids[message.id] += 1
        elif isinstance(message, JSONRPCNotification) and message.method == _CANCELLED:
            self.remove((message.params or {}).get("requestId"))

    def remove(self, request_id: object) -> None:
        """Forget a request that was answered."""
        try:
            self._ids[request_id] -= 1
        except TypeError:  # of a cancellation: what cannot be an id
            return
        self._ids = +self._ids
        self._fewer.set()
        self._fewer = anyio.Event()

    async def none(self) -> None:
        """Wait until there is none."""
        while self._ids:
            await self._fewer.wait()


class _Answers:
    """Stdout as the server writes to it; each answer is noted once it was handed on."""

    def __init__(self, inner: WriteStream[SessionMessage], unanswered: _Unanswered) -> None:
        self._inner = inner
        self._unanswered = unanswered

    async def send(self, item: SessionMessage) -> None:
        """Send one message."""
        await self._inner.send(item)
        if isinstance(item.message, JSONRPCResponse | JSONRPCError):
            self._unanswered.remove(item.message.id)

    async def aclose(self) -> None:
        """End stdout."""
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class _Lines:
    """Stdin as the SDK reads it: the lines that are messages, and the end once every request has its answer."""

    def __init__(self, unanswered: _Unanswered) -> None:
        self._unanswered = unanswered
        self.answers: _Answers

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Read on; what is no message is answered here."""
        async for line in anyio.wrap_file(sys.stdin.buffer):
            if not line.strip():
                continue
            try:
                found = decode(line, batches=False)
            except UndecodableError as error:
                refusal = jsonrpc_message_adapter.validate_python(error.answer(), by_name=False)
                await self.answers.send(SessionMessage(refusal))
                continue
            self._unanswered.note(found.messages[0])
            yield found.body
        await self._unanswered.none()


@asynccontextmanager
async def stdio_streams() -> AsyncIterator[tuple[ReadStream[SessionMessage | Exception], WriteStream[SessionMessage]]]:
    """Claim stdin and stdout for one client; its end is that of either."""
    unanswered = _Unanswered()
    lines: Any = _Lines(unanswered)
    try:
        async with stdio_server(stdin=lines) as (read, write):
            lines.answers = _Answers(write, unanswered)  # nothing was read yet
            yield read, lines.answers
    except* BrokenPipeError:
        logger.debug("the client reads no more")
