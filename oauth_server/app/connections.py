"""HTTP/1.1 connections with the bounds that uvicorn lacks: time to arrive, size of a head, how many.

Sources: RFC 9112 sections 2.2 and 9.3.2, RFC 9110 sections 7.8 and 15.5.9 (408), RFC 6585 section 5 (431).
"""

import asyncio
import logging
import sys
from collections import OrderedDict
from typing import Any, Final
from weakref import WeakKeyDictionary

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from oauth_server import metrics
from oauth_server.app.joined import Joined
from oauth_server.core.refusal_log import NO_ROUTE

PATIENCE: Final = 30.0  # seconds for a request to arrive whole, and for an answer to be taken
MAX_HEAD: Final = 32 * 1024  # bytes of request line and header fields, which is what proxies pass on
MAX_FIELDS: Final = 100
MAX_PIPELINED: Final = 8  # requests that wait for the one before; no client of today sends any
SPARE_FILES: Final = 128  # descriptors for the store, outgoing requests and what Python opens
_SWEEP: Final = 1.0  # seconds
_SENTENCES: Final = {
    400: "The request is not valid HTTP.",
    408: f"The request did not arrive within {PATIENCE:.0f} seconds.",
    414: "The request's address is too long.",
    431: f"The request's header fields are more than {MAX_HEAD // 1024} KiB or {MAX_FIELDS}.",
}
logger = logging.getLogger(__name__)


class _Waiting:
    """The connections of one server that keep it waiting, in the order in which its patience with them ends."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._until: OrderedDict[Connection, float] = OrderedDict()
        self._sweeping = False
        self.most = max_connections()

    def add(self, connection: "Connection") -> None:
        """Begin to wait; whoever is waited for already gets no more time."""
        if connection not in self._until:
            self._until[connection] = self._loop.time() + PATIENCE
            if not self._sweeping:
                self._sweeping = True
                self._loop.call_later(_SWEEP, self._sweep)

    def remove(self, connection: "Connection") -> None:
        """Wait no longer."""
        self._until.pop(connection, None)

    def give_up_first(self) -> None:
        """Make room: end the connection that has been waited for longest."""
        if self._until:
            self._until.popitem(last=False)[0].transport.abort()

    def _sweep(self) -> None:
        # One timer for all, since a timer for each of 10,000 connections costs each request.
        now = self._loop.time()
        while self._until:
            connection, until = next(iter(self._until.items()))
            if until > now:
                self._loop.call_later(_SWEEP, self._sweep)
                return
            del self._until[connection]
            connection.overdue()
        self._sweeping = False


_waiting: WeakKeyDictionary[ServerState, _Waiting] = WeakKeyDictionary()


class _TooLargeError(Exception):
    """A head beyond the bounds, with the status that says so."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Connection(HttpToolsProtocol):
    """One connection. What uvicorn does with a request is left as it is."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        waiting = _waiting.get(server_state)
        if waiting is None:
            waiting = _waiting[server_state] = _Waiting(self.loop)
        self._waiting = waiting
        self._in_head = True  # also before a head begins; what is not head is body and trailer
        self._held = 0  # bytes that came since the parser last handed something on
        self._fields = 0
        self._ordinary = b""  # the head of a request that is to be read anew
        self._joined: Joined | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """Wait for a request; at the bound of connections, end the one that has been waited for longest."""
        super().connection_made(transport)
        if len(self.connections) > self._waiting.most:
            self._waiting.give_up_first()
        self._waiting.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._waiting.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came; whoever began a request is waited for until it is whole."""
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        try:
            self._parse(data)
        except httptools.HttpParserCallbackError as error:
            self._refuse(error.__context__.status if isinstance(error.__context__, _TooLargeError) else 400)
            return
        except httptools.HttpParserError:
            self._refuse(400)
            return
        if self._held > MAX_HEAD:  # of a head, a trailer or a chunk extension, which the parser keeps until it ends
            self._refuse(431)
        elif self._in_head and (self.cycle is None or self.cycle.response_complete):
            self._waiting.add(self)

    def _parse(self, data: bytes) -> None:
        """Read a request that asks for another protocol anew, as the ordinary one that it is where none is offered.

        The parser takes what follows its head for that protocol: its body would pass for the next request.
        """
        while data and not self.transport.is_closing():
            self._held += len(data)
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
                data, self._ordinary, self._held = self._ordinary + data[upgrade.args[0] :], b"", 0
            else:
                return

    def on_message_begin(self) -> None:
        """Begin with a request."""
        super().on_message_begin()
        self._in_head = True
        self._fields = 0
        self._waiting.add(self)

    def on_url(self, url: bytes) -> None:
        """Take a piece of the address."""
        if len(self.url) + len(url) > MAX_HEAD:
            raise _TooLargeError(414)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header field; one in a trailer must not pass for one (RFC 9110 section 6.5.1)."""
        self._fields += 1
        if self._fields > MAX_FIELDS:
            raise _TooLargeError(431)
        if self._in_head:
            # As uvicorn has it, without the visit there: it is the part of a request that comes most often.
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Hand the request on; its body may still be on its way."""
        if self._held > MAX_HEAD and self._size_of_head() > MAX_HEAD:
            raise _TooLargeError(431)
        if len(self.pipeline) >= MAX_PIPELINED:
            self.transport.abort()
            return
        if self.parser.should_upgrade():
            self._ordinary = self._without_upgrade()
            return
        self._in_head = False
        self._held = 0
        super().on_headers_complete()
        self._joined = self.cycle.transport = Joined(self.transport, self.loop)  # type: ignore[assignment]

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._held = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Stop to wait: the request is whole. The next one's head begins with the next byte."""
        if self._ordinary:
            return  # it is read anew
        if not self.flow.write_paused:  # or whoever takes no answer and asks on would be waited for without an end
            self._waiting.remove(self)
        self._in_head = True
        self._held = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for an answer to be taken where it is the last one."""
        if self._joined is not None:
            self._joined.flush()  # of an answer that has a head alone
        super().on_response_complete()
        if self.transport.is_closing() and self.transport.get_write_buffer_size():
            self._waiting.add(self)

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection when nothing more came; wait for the answer to be taken."""
        if self.transport.get_write_buffer_size():
            self._waiting.add(self)
        super().timeout_keep_alive_handler()

    def pause_writing(self) -> None:
        """Wait for the client to take what it asked for."""
        super().pause_writing()
        self._waiting.add(self)

    def resume_writing(self) -> None:
        """Go on: the client took something, and has its time anew."""
        super().resume_writing()
        if self._in_head:
            self._waiting.remove(self)

    def overdue(self) -> None:
        """End the connection: the request did not become whole, or the answer was not taken, in time."""
        answered = self.cycle is not None and self.cycle.response_started
        begun = self._held > 0 or not self._in_head
        if begun and not answered and not self.transport.is_closing():
            self._refuse(408)
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()

    def _without_upgrade(self) -> bytes:
        """The head of a request that asks for another protocol, as if it did not (RFC 9110 section 7.8)."""
        method = self.parser.get_method()
        if method == b"CONNECT":  # whose parser reads no further either way
            raise ValueError("this is no proxy")
        lines = [b"%b %b HTTP/%b" % (method, self.url, self.parser.get_http_version().encode())]
        for name, value in self.headers:
            if name == b"connection":
                value = b",".join(token for token in value.split(b",") if token.strip().lower() != b"upgrade")  # noqa: PLW2901
            if name != b"upgrade":
                lines.append(b"%b: %b" % (name, value))
        return b"\r\n".join((*lines, b"", b""))

    def _size_of_head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _refuse(self, status: int) -> None:
        if self.cycle is not None and self.cycle.response_complete and not self._in_head:
            self.transport.close()  # this request has its answer already
            return
        if self.cycle is not None and not self.cycle.response_complete:
            # An answer is under way, perhaps to a request that came before this one: nothing can be said within it.
            if self.cycle.response_started or self.pipeline:
                self.transport.abort()
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        metrics.REFUSALS.add(NO_ROUTE, "invalid_request")
        logger.debug("refused what %s sent: %d, %s", self.client[0] if self.client else "", status, _SENTENCES[status])
        text = f'{{"error": "invalid_request", "error_description": "{_SENTENCES[status]}"}}'.encode()
        self.transport.write(
            STATUS_LINE[status]
            + b"content-type: application/json\r\ncache-control: no-store\r\nconnection: close\r\n"
            + b"content-length: %d\r\n\r\n" % len(text)
            + text
        )
        self.transport.close()


def raise_file_limit() -> None:
    """Let this process have as many connections open as the system allows it at all."""
    if sys.platform != "win32":
        import resource  # noqa: PLC0415 - Unix has it alone

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != hard:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def max_connections() -> int:
    """How many connections one process keeps open: as many as it may have files, less what else it needs."""
    if sys.platform == "win32":
        return 10_000
    import resource  # noqa: PLC0415

    return max(SPARE_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_FILES)
