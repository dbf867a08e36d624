"""The load: connections that ask again as soon as they are answered, with a check of every answer.

A unit of work is a generator: it yields the bytes of a request, is sent the answer, and ends when it has what it came
for. One asyncio process on uvloop, with no more of HTTP/1.1 than the measured servers speak.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from itertools import count as counting
from typing import NamedTuple, cast

_END = b"\r\n\r\n"
STUCK_SECONDS = 120  # for a round that takes one or two
_NO_BODY = (204, 304)


class WrongAnswerError(Exception):
    """A server did not answer as it must; the text says which and how."""


class Answer(NamedTuple):
    """One HTTP answer; the names in `head` are in lower case, its values as they came."""

    status: int
    head: bytes
    body: bytes

    def header(self, name: bytes) -> bytes:
        """The value of a header, empty without it."""
        for line in self.head.split(b"\r\n"):
            found, _, value = line.partition(b":")
            if found.lower() == name:
                return value.strip()
        return b""


Unit = Generator[bytes, Answer, None]
Work = Callable[[int], Unit]  # a unit for the connection of this number


@dataclass
class Load:
    """What a round of load saw: seconds of each unit, of the round, and of this process's CPU in it."""

    took: list[float] = field(default_factory=list)
    wall: float = 0.0
    own: float = 0.0


def _unchunked(data: bytes) -> bytes | None:
    """The body of a chunked answer, None while its end is missing (RFC 9112 section 7.1)."""
    body, at = b"", 0
    while True:
        end = data.find(b"\r\n", at)
        if end < 0:
            return None
        size = int(data[at:end].partition(b";")[0], 16)
        at = end + 2 + size + 2
        if len(data) < at:
            return None
        if not size:
            return body
        body += data[end + 2 : end + 2 + size]


def parse(data: bytes) -> Answer | None:
    """The answer that was received, None while a part of it is missing."""
    end = data.find(_END)
    if end < 0:
        return None
    head, status = data[:end], int(data[9:12])
    if status in _NO_BODY:
        return Answer(status, head, b"")
    fields = head.lower()
    at = fields.find(b"\r\ncontent-length:")
    if at >= 0:
        size = int(fields[at + 17 :].partition(b"\r\n")[0])
        return None if len(data) < end + 4 + size else Answer(status, head, data[end + 4 : end + 4 + size])
    body = _unchunked(data[end + 4 :])
    return None if body is None else Answer(status, head, body)


class _Connection(asyncio.Protocol):
    """One kept-alive connection that works until `ticket` gives no more units."""

    def __init__(self, number: int, work: Work, ticket: Callable[[], bool], took: list[float]) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._number, self._work, self._ticket, self._took = number, work, ticket, took
        self._data = b""
        self._transport: asyncio.Transport
        self._unit: Unit
        self._started = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(WrongAnswerError(f"the connection was closed ({error or 'by the server'})"))

    def begin(self) -> None:
        """Ask for the next unit, or end."""
        if not self._ticket():
            self.done.set_result(None)
            return
        self._unit = self._work(self._number)
        self._started = time.perf_counter()
        self._transport.write(next(self._unit))

    def close(self) -> None:
        """Hang up."""
        self.done.cancel()
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._data = self._data + data if self._data else data
        answer = parse(self._data)
        if answer is None or self.done.done():
            return
        self._data = b""
        try:
            request = self._unit.send(answer)
        except StopIteration:
            self._took.append(time.perf_counter() - self._started)
            self.begin()
        except Exception as error:  # noqa: BLE001 - a check cannot read what is wrong in a way of its own
            wrong = f"the answer cannot be read ({error!r}): {answer.status} {answer.body[:300]!r}"
            self.done.set_exception(error if isinstance(error, WrongAnswerError) else WrongAnswerError(wrong))
        else:
            self._transport.write(request)


_addresses = counting(1)


def _address() -> str:
    """A loopback address that no connection had before: a server that bounds each address sees many people.

    Linux alone has more than one.
    """
    if sys.platform != "linux":
        return "127.0.0.1"
    number = next(_addresses)
    return f"127.{1 + number // 64_516 % 254}.{number // 254 % 254}.{1 + number % 254}"


async def drive(port: int, work: Work, units: int, connections: int) -> Load:
    """Do so many units over so many connections; raises WrongAnswerError for the first wrong answer."""
    loop, load, tickets = asyncio.get_running_loop(), Load(), counting(1)
    found = []
    for number in range(connections):
        _, one = await loop.create_connection(
            lambda number=number: _Connection(number, work, lambda: next(tickets) <= units, load.took),  # type: ignore[misc]
            "127.0.0.1",
            port,
            local_addr=(_address(), 0),
        )
        found.append(one)
    started, own = time.perf_counter(), time.process_time()
    for one in found:
        one.begin()
    try:
        async with asyncio.timeout(STUCK_SECONDS):
            await asyncio.gather(*(one.done for one in found))
    except TimeoutError:
        raise WrongAnswerError(f"no end within {STUCK_SECONDS} seconds") from None
    finally:
        for one in found:
            one.close()
    load.wall, load.own = time.perf_counter() - started, time.process_time() - own
    return load
