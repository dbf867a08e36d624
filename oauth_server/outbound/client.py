"""An HTTP client for addresses that strangers name, guarded against SSRF (RFC 9728 section 7.7)."""

import socket
import ssl
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import anyio
import httpx2

from oauth_server.outbound import addresses
from oauth_server.outbound.answers import Answer

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Takes a host name and a port, returns its addresses; OSError when there are none."""

HIGHEST_PORT: Final = 65535
_PORTS: Final = {"http": 80, "https": 443}
_ENCODINGS: Final = {"gzip", "x-gzip", "deflate"}


class OutboundError(Exception):
    """A request that was refused before it was sent, or that brought no complete answer."""

    def __init__(self, reason: str) -> None:
        """`reason`: a sentence for a person; it may quote the URL."""
        super().__init__(reason)
        self.reason = reason


class UnreachableError(OutboundError):
    """A host without a usable answer; the reason shows the network as it is from here, so not every caller may see it.

    It is raised alike for a name without an address, an address that may not be asked, and a failed connection.
    """


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may take: bytes of a decoded body, seconds of an exchange, requests in all."""

    body: int = 512 * 1024
    seconds: float = 10.0
    requests: int = 60


class Outbound:
    """The client. One object is one budget; it keeps no connection, cookie or credential between two requests."""

    def __init__(
        self,
        *,
        resolve: Resolver | None = None,
        allow: Collection[str] = (),
        only: Collection[str] | None = None,
        local: bool = False,
        limits: Limits | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Set the policy.

        `allow`: hosts (`name` or `name:port`) whose addresses need not be public; `local`: no address needs to be (for
        the operator at the machine itself). `only`: URLs whose origins are asked, and no others. Plain http goes to
        loopback addresses alone, and only with `allow` or `local`. `transport`: an application in this process; no name
        is resolved then, and it holds a body before it is cut. `tls`: other trust anchors than the system's.
        """
        self._resolve = resolve or resolve_by_system
        self._allow = frozenset(entry.lower() for entry in allow)
        self._only = None if only is None else frozenset(_origin(_target(url)) for url in only)
        self._local = local
        self._limits = limits or Limits()
        self._transport = transport
        self._tls = tls
        self._left = self._limits.requests

    @property
    def left(self) -> int:
        """How many requests the budget still holds."""
        return self._left

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, content: bytes | str | None = None
    ) -> Answer:
        """Send one request and return its answer; OutboundError when it is refused, fails, or outlasts the limits."""
        target = _target(url)
        if self._only is not None and _origin(target) not in self._only:
            raise OutboundError(f"{target.host!r} is not among the servers that may be asked")
        if self._left <= 0:
            raise OutboundError(f"the budget of {self._limits.requests} requests is spent")
        self._left -= 1
        fields = httpx2.Headers({"Accept": "*/*", "User-Agent": "mcp-docker-server"})
        try:
            fields.update(headers)
        except UnicodeError:  # a token of the server that is asked, for example
            raise OutboundError("a header field holds characters that cannot be sent") from None
        fields["Accept-Encoding"] = "identity"
        started = time.perf_counter()
        try:
            with anyio.fail_after(self._limits.seconds):
                async with self._open(method, target, fields, content) as (response, stream):
                    tls = _tls_of(response)
                    body, truncated = await self._body(response, stream)
        except TimeoutError:
            raise UnreachableError(f"no complete answer within {self._limits.seconds:g} seconds") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, zlib.error) as error:
            raise UnreachableError(f"the request failed: {str(error)[:200] or type(error).__name__}") from error
        received = tuple(response.headers.multi_items())
        return Answer(url, response.status_code, received, body, truncated, time.perf_counter() - started, tls)

    @asynccontextmanager
    async def _open(
        self, method: str, target: httpx2.URL, fields: httpx2.Headers, content: bytes | str | None
    ) -> AsyncIterator[tuple[httpx2.Response, httpx2.AsyncByteStream]]:
        """Send the request and hold its connection open for as long as the body is read."""
        async with AsyncExitStack() as opened:
            if self._transport is not None:
                request = httpx2.Request(method, target, headers=fields, content=content)
                response = await self._transport.handle_async_request(request)
            else:
                response = await self._connect(method, target, fields, content, opened)
            if not isinstance(response.stream, httpx2.AsyncByteStream):
                raise OutboundError("the answer cannot be streamed")
            opened.push_async_callback(response.aclose)
            yield response, response.stream

    async def _connect(
        self,
        method: str,
        target: httpx2.URL,
        fields: httpx2.Headers,
        content: bytes | str | None,
        opened: AsyncExitStack,
    ) -> httpx2.Response:
        """Send the request to the first checked address that takes a connection."""
        checked = await self._addresses(target)
        # The name stays in Host and SNI; the connection goes to the address that was checked.
        fields.setdefault("Host", target.netloc.decode("ascii"))
        extensions = {
            "sni_hostname": target.raw_host.decode("ascii"),
            "timeout": {"connect": self._limits.seconds / len(checked)},
        }
        self._tls = self._tls or httpx2.create_ssl_context(trust_env=False)
        # A transport is used without httpx2's client: no redirects, cookies, .netrc or proxies are left to turn off.
        transport = await opened.enter_async_context(httpx2.AsyncHTTPTransport(verify=self._tls, trust_env=False))
        refusal: httpx2.TransportError | None = None
        for address in checked:
            pinned = target.copy_with(host=address)
            request = httpx2.Request(method, pinned, headers=fields, content=content, extensions=extensions)
            try:
                return await transport.handle_async_request(request)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                refusal = error  # nothing was sent yet, so the next address may be tried whatever the method
        raise refusal or UnreachableError(f"{target.host!r} could not be reached")

    async def _addresses(self, target: httpx2.URL) -> list[str]:
        """Resolve the host once and check every address; one bad address among good ones refuses the request."""
        host, port = target.raw_host.decode("ascii"), target.port or _PORTS[target.scheme]
        trusted = self._local or bool(self._allow & {_bracketed(host), f"{_bracketed(host)}:{port}"})
        if target.scheme == "http" and not trusted:  # whatever its addresses are
            raise OutboundError(f"{str(target)!r} is not https")
        known = addresses.literal(host)
        found = [known] if known else list(dict.fromkeys(await self._resolve(host, port)))
        if not found:
            raise UnreachableError(f"{host!r} has no address")
        if not trusted and not all(map(addresses.is_public, found)):
            raise UnreachableError(f"{host!r} has an address that is not globally routable")
        if target.scheme == "http" and not all(map(addresses.is_loopback, found)):
            raise UnreachableError(f"the address of {host!r} is not https")
        return found

    async def _body(self, response: httpx2.Response, stream: httpx2.AsyncByteStream) -> tuple[bytes, bool]:
        """Read at most the limit of decoded bytes; the rest is never read, nor inflated."""
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in _ENCODINGS | {"identity", ""}:
            raise OutboundError(f"the answer is encoded as {encoding[:40]!r}, although identity was asked for")
        inflate = zlib.decompressobj(zlib.MAX_WBITS | 32) if encoding in _ENCODINGS else None
        body = bytearray()
        async for chunk in stream:
            room = self._limits.body - len(body) + 1
            body += inflate.decompress(chunk, room) if inflate else chunk[:room]
            if len(body) > self._limits.body:
                return bytes(body[: self._limits.body]), True
        return bytes(body), False


async def resolve_by_system(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver."""
    return [str(entry[4][0]) for entry in await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _target(url: str) -> httpx2.URL:
    """Read a URL that someone else wrote; OutboundError unless it is plain http or https without userinfo."""
    if not url.isprintable() or any(character in url for character in " \\"):
        raise OutboundError(f"{url[:200]!r} holds characters that no URL holds")
    try:
        target = httpx2.URL(url)
        if target.scheme not in _PORTS or not target.host:
            raise OutboundError(f"{url[:200]!r} is not an absolute http or https URL")
        if "@" in url.partition("//")[2].partition("/")[0].partition("?")[0]:
            raise OutboundError("a URL with credentials in it is never fetched")
        addresses.literal(target.raw_host.decode("ascii"))
        if target.port is not None and not 0 < target.port <= HIGHEST_PORT:
            raise OutboundError(f"{target.port} is not a port")
    except (httpx2.InvalidURL, ValueError) as error:
        raise OutboundError(f"{url[:200]!r} is not a URL to fetch: {error}") from None
    return target


def _tls_of(response: httpx2.Response) -> str:
    stream = response.extensions.get("network_stream")
    spoken = stream.get_extra_info("ssl_object") if stream is not None else None
    return (spoken.version() or "") if spoken is not None else ""


def _origin(target: httpx2.URL) -> tuple[str, bytes, int]:
    return target.scheme, target.raw_host, target.port or _PORTS[target.scheme]


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host.lower()
