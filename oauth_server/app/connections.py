"""HTTP/1.1 connections with the bounds that uvicorn lacks: time to arrive, size of a head, how many.

Sources: RFC 9112 sections 2.2, 6.1, 9.3.2 and 9.6; RFC 9110 sections 7.8, 10.1.1 and 15.5.9 (408); RFC 6585 section 5
(431).
"""

import asyncio
import logging
from functools import partial
from typing import Any, Final
from weakref import WeakKeyDictionary

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from oauth_server import metrics
from oauth_server.app.answers import Joined, send_to_the_end, served
from oauth_server.app.waiting import PATIENCE, Waiting
from oauth_server.core.errors import EndingError
from oauth_server.core.refusal_log import NO_ROUTE

MAX_HEAD: Final = 32 * 1024  # bytes of request line and header fields, which is what proxies pass on
MAX_FIELDS: Final = 100
MAX_PIPELINED: Final = 8  # requests that wait for the one before; no client of today sends any
LINGER: Final = 10.0  # seconds for which a client that was refused is still read from
LINGER_AT_END: Final = 0.1  # for one that waits for no answer
LINGER_BYTES: Final = 8 * 1024 * 1024  # and how much at most
_SENTENCES: Final = {
    400: "The request is not valid HTTP.",
    408: f"The request did not arrive within {PATIENCE:.0f} seconds.",
    414: "The request's address is too long.",
    EndingError.status: EndingError.default,
    431: f"The request's header fields are more than {MAX_HEAD // 1024} KiB or {MAX_FIELDS}.",
}
_waiting: WeakKeyDictionary[ServerState, Waiting] = WeakKeyDictionary()
logger = logging.getLogger(__name__)


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
            waiting = _waiting[server_state] = Waiting(self.loop)
        self._waiting = waiting
        self._in_head = True  # also before a head begins; what is not head is body and trailer
        self._held = 0  # bytes that came since the parser last handed something on
        self._fields = 0
        self._ordinary = b""  # the head of a request that is to be read anew
        self._joined: Joined | None = None
        self._lingers: int | None = None  # bytes that are still read after the last answer

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
        if self._lingers is not None:
            self._lingers -= len(data)
            if self._lingers < 0:
                self.transport.abort()
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
            self._wait()

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
        self._joined = self.cycle.transport = Joined(self.transport, self.loop, self._close)  # type: ignore[assignment]
        if self.scope["http_version"] != "1.1":
            self.cycle.keep_alive = self.cycle.waiting_for_100_continue = False
            self.cycle.send = send_to_the_end(self.cycle)  # type: ignore[assignment,method-assign]

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
        if self._lingers is not None:
            return
        last = not self.pipeline
        super().on_response_complete()
        if self.transport.is_closing():
            if self.transport.get_write_buffer_size():
                self._waiting.add(self)
        elif last and self._in_head and not self._held:
            self._waiting.rest(self)

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
            if self.cycle is None or self.cycle.response_complete:  # what began meanwhile, or the next request
                self._wait()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        super()._start_asgi_task(cycle, partial(served, cycle, app))

    def shutdown(self) -> None:
        """Answer what was asked, and close; a request that still arrives has as long as the server drains."""
        if self.cycle is not None and not self.cycle.response_complete:
            super().shutdown()
        elif self._in_head and self._held:
            self.loop.call_later(self.config.timeout_graceful_shutdown or 0, self._give_up)
        elif self._lingers is None:
            self._linger(LINGER_AT_END)

    def overdue(self) -> None:
        """End the connection: the request did not become whole, or the answer was not taken, in time."""
        answered = self.cycle is not None and self.cycle.response_started
        begun = self._held > 0 or not self._in_head
        if begun and not answered and self._lingers is None and not self.transport.is_closing():
            self._refuse(408)
            return
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
            self._linger(LINGER)  # this request has its answer already
            return
        if self.cycle is not None and not self.cycle.response_complete:
            # An answer is under way, perhaps to a request that came before this one: nothing can be said within it.
            if self.cycle.response_started or self.pipeline:
                self.transport.abort()
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        error, fields = "invalid_request", ""
        if status == EndingError.status:
            error = EndingError.error
            fields = "".join(f"{name.lower()}: {value}\r\n" for name, value in EndingError().headers().items())
        metrics.REFUSALS.add(NO_ROUTE, error)
        logger.debug("refused what %s sent: %d, %s", self.client[0] if self.client else "", status, _SENTENCES[status])
        text = f'{{"error": "{error}", "error_description": "{_SENTENCES[status]}"}}'.encode()
        self.transport.write(
            STATUS_LINE[status]
            + fields.encode()
            + b"content-type: application/json\r\ncache-control: no-store\r\nconnection: close\r\n"
            + b"content-length: %d\r\n\r\n" % len(text)
            + text
        )
        self._linger(LINGER)

    def _wait(self) -> None:
        """Wait for a request that has begun, or for the next one."""
        if self._held:
            self._waiting.add(self)
        elif self._lingers is None:
            self._rest(self.timeout_keep_alive)

    def _rest(self, seconds: float) -> None:
        """Close the connection unless something comes within so many seconds."""
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)
        self._waiting.rest(self)

    def _close(self) -> None:
        """Close the connection after its last answer."""
        if self._in_head and not self._held and not self.flow.read_paused:
            self.transport.close()
        elif self._lingers is None:
            self._linger(LINGER)

    def _give_up(self) -> None:
        arriving = self.cycle is None or self.cycle.response_complete
        if arriving and self._lingers is None and not self.transport.is_closing():
            self._refuse(EndingError.status)

    def _linger(self, seconds: float) -> None:
        """Send the end, and read what the client still sends: unread bytes would take the answer from it."""
        self._lingers = LINGER_BYTES
        self.pipeline.clear()
        self.transport.write_eof()
        self.flow.resume_reading()
        self._rest(seconds)
