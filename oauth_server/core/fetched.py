"""JSON documents of strangers: fetched through the guarded client, kept for a while, asked for once at a time.

Sources: RFC 9111 sections 4.2 and 4.3 (freshness and validation), MCP authorization (AS-13 to AS-15).
"""

import asyncio
import logging
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar
from urllib.parse import urlsplit

from oauth_server.core.clock import Clock
from oauth_server.core.errors import BusyError
from oauth_server.core.policies import FETCHES, HOST_FETCHES
from oauth_server.core.rate_limits import RateLimits
from oauth_server.core.refusal_log import shown_uri
from oauth_server.core.untrusted import unverified
from oauth_server.outbound import Answer, Limits, Outbound, OutboundError

Connect = Callable[[Limits], Outbound]
"""Makes the client for one outgoing request."""

LONGEST: Final = 24 * 3600  # seconds a document is kept, whatever its headers say
UNSTATED: Final = 300  # seconds where its headers say nothing
FAILURE: Final = 60  # seconds in which a document that could not be used is not asked for again
MAX_KEPT: Final = 1000
MAX_AT_ONCE: Final = 8
MAX_WAITING: Final = 32
_BUSY: Final = "Too many documents of applications are being fetched at the moment; try again in a few seconds."
_MAX_ETAG: Final = 128
_MOST_URL: Final = 200  # characters in the log
_OK, _NOT_MODIFIED, _TOO_MANY, _SERVER_ERROR = 200, 304, 429, 500
_MAX_AGE = re.compile(r'(?:^|[\s,])max-age\s*=\s*"?(\d{1,9})(?!\d)', re.IGNORECASE)
_AGE = re.compile(r"\d{1,9}", re.ASCII)
_JSON = re.compile(r"application/(?:[\w.-]+\+)?json", re.IGNORECASE | re.ASCII)
logger = logging.getLogger(__name__)
_MEDIA_TYPE = re.compile(r"[\w.+-]{1,40}/[\w.+-]{1,40}", re.ASCII)
T = TypeVar("T")


class FetchError(Exception):
    """A document that cannot be had, or cannot be used. Its text ends a sentence; `reason` is for the log alone.

    `temporary` says that its host could not be reached, or could not answer at the moment.
    """

    def __init__(self, text: str, reason: str = "", *, temporary: bool = False) -> None:
        super().__init__(text)
        self.reason = reason or text
        self.temporary = temporary


@dataclass(frozen=True)
class _Kept(Generic[T]):
    """What a request brought, when, until when it is good, and its entity tag."""

    found: T | FetchError
    at: float
    until: float
    etag: str | None = None

    def is_good(self, now: float, good_for: float) -> bool:
        """Whether it may be used at a time, or was fetched at most so many seconds before."""
        return self.at <= now < max(self.until, self.at + good_for)


class Fetched(Generic[T]):
    """Documents by URL.

    `parse` makes one usable; what it finds wrong it raises as ValueError, in words that end a sentence.
    """

    def __init__(
        self,
        connect: Connect,
        limits: Limits,
        parse: Callable[[str, object], T],
        rate_limits: RateLimits,
        clock: Clock,
    ) -> None:
        self._connect = connect
        self._rate_limits = rate_limits
        self._limits = limits
        self._parse = parse
        self._clock = clock
        self._kept: OrderedDict[str, _Kept[T]] = OrderedDict()
        self._running: dict[str, asyncio.Task[_Kept[T]]] = {}
        self._slots = asyncio.Semaphore(MAX_AT_ONCE)

    async def get(self, url: str, *, not_older_than: float = 0.0, good_for: float = 0.0) -> T:
        """The document, from the cache while it is fresh and was fetched at or after a Unix time; raises FetchError.

        So many seconds it is good for, whatever its headers say.

        However many ask at the same time, one request is sent. RateLimitedError where too many were sent for this
        caller, or to this host.
        """
        kept = self._kept.get(url)
        # One from the future was fetched before the clock was put right: nobody knows how old it is.
        if kept is None or not kept.is_good(self._clock(), good_for) or kept.at < not_older_than:
            task = self._running.get(url)
            if task is None:
                self._bound(url)
                task = self._running[url] = asyncio.create_task(self._renew(url, kept))
                task.add_done_callback(lambda _: self._running.pop(url, None))
            # Whoever asked first may go away; the others still get their answer.
            kept = await asyncio.shield(task)
        if isinstance(kept.found, FetchError):
            raise FetchError(str(kept.found), kept.found.reason, temporary=kept.found.temporary)
        return kept.found

    def _bound(self, url: str) -> None:
        # The caller's bound first: whoever reached it cannot go on to fill a host's for everybody.
        self._rate_limits.take_caller(FETCHES)
        self._rate_limits.take(HOST_FETCHES, urlsplit(url).netloc.lower())
        if len(self._running) >= MAX_WAITING:
            raise BusyError(_BUSY, reason=f"{len(self._running)} documents are being fetched", check="fetches")

    async def _renew(self, url: str, known: _Kept[T] | None) -> _Kept[T]:
        async with self._slots:
            try:
                kept = await self._fetch(url, known)
            except FetchError as error:
                logger.info("%s: %s", unverified(shown_uri(url), _MOST_URL), error.reason)
                now = self._clock()
                kept = _Kept(error, now, now + FAILURE)
                if known is not None and known.until > now:  # asked for before its time: what is there stays good
                    kept = replace(known, at=now)
        self._kept[url] = kept
        self._kept.move_to_end(url)
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return kept

    async def _fetch(self, url: str, known: _Kept[T] | None) -> _Kept[T]:
        headers = {"Accept": "application/json"}
        if known is not None and known.etag is not None:
            headers["If-None-Match"] = known.etag
        try:
            answer = await self._connect(self._limits).request("GET", url, headers=headers)
        except OutboundError as error:
            # What the network said stays in the log: told to a stranger, it would show the network from inside.
            raise FetchError("could not be fetched", error.reason, temporary=True) from None
        now = self._clock()
        until = now + _lifetime(answer)
        if answer.status == _NOT_MODIFIED and known is not None and known.etag is not None:
            return replace(known, at=now, until=until)
        try:
            return _Kept(self._parse(url, self._document(answer)), now, until, _etag(answer))
        except ValueError as error:
            temporary = answer.status >= _SERVER_ERROR or answer.status == _TOO_MANY
            raise FetchError(f"cannot be used: {error}", temporary=temporary) from None

    def _document(self, answer: Answer) -> object:
        if answer.status != _OK:  # a redirect is not followed: another host would speak for this one
            raise ValueError(f"its answer has status {answer.status}, not 200")
        media_type = (answer.header("content-type") or "").partition(";")[0].strip()
        if not _JSON.fullmatch(media_type):
            shown = media_type if _MEDIA_TYPE.fullmatch(media_type) else unverified(media_type)
            raise ValueError(f"its media type is {shown or 'not stated'}, not application/json")
        if answer.truncated:
            raise ValueError(f"it is longer than {self._limits.body} bytes")
        try:
            return answer.json()
        except ValueError:
            raise ValueError("it is not JSON") from None


def _etag(answer: Answer) -> str | None:
    tag = answer.header("etag")
    return tag if tag is not None and len(tag) <= _MAX_ETAG and tag.isascii() and tag.isprintable() else None


def _lifetime(answer: Answer) -> int:
    """Seconds a document may be used unasked (RFC 9111 section 4.2.1), at most a day."""
    control = ", ".join(answer.headers_of("cache-control")).lower()
    if "no-store" in control or "no-cache" in control:
        return 0
    stated = _MAX_AGE.search(control)
    if stated is None:
        return UNSTATED
    age = _AGE.fullmatch(answer.header("age") or "0")
    return max(0, min(int(stated[1]) - (int(age[0]) if age else 0), LONGEST))
