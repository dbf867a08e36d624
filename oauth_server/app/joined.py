"""An answer as one packet: uvicorn writes head and body apart, which wakes server and client once more."""

import asyncio


class Joined:
    """A connection's transport as one answer sees it: the head waits for the first piece of the body.

    Not for longer than the turn of the loop, since the body of a stream may come much later.
    """

    __slots__ = ("_begun", "_head", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
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
        self._transport.close()
