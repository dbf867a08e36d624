"""All that is known of the server so far: every answer is fetched once, and shared by the checks that need it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urldefrag, urlencode

import anyio

from oauth_server.compliance import urls, www_authenticate
from oauth_server.compliance.model import VERSIONS, Exchange, Missing, SpecVersion
from oauth_server.compliance.visitor import Visitor
from oauth_server.compliance.www_authenticate import Challenge
from oauth_server.outbound import Outbound, OutboundError

AT_ONCE: Final = 8
MOST_KEYS: Final = 100
OK: Final = 200
UNAUTHORIZED: Final = 401
FORM: Final = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
_META: Final = "io.modelcontextprotocol/"

Key = tuple[str, str, tuple[tuple[str, str], ...], bytes]


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON document: its members, or the problem that kept them from being read; no exchange: no answer at all."""

    url: str
    exchange: Exchange | None
    members: Mapping[str, Any]
    problem: str

    @property
    def shown(self) -> Exchange:
        """The exchange, for evidence; Missing when there was no answer."""
        if self.exchange is None:
            raise Missing(f"{self.url}: {self.problem}")
        return self.exchange


def reason(documents: Iterable[Document]) -> str:
    """Say why none of these places has a document, empty when one has; OutboundError when none answered at all."""
    tried = list(documents)
    problem = "; ".join(f"{document.url}: {document.problem}" for document in tried)
    if not any(document.exchange for document in tried):
        raise OutboundError(problem)
    return problem if all(document.problem for document in tried) else ""


@dataclass(slots=True)
class _Slot:
    lock: anyio.Lock = field(default_factory=anyio.Lock)
    outcome: Exchange | OutboundError | None = None


class Survey:
    """One run's view of one server. What is missing raises Missing, what cannot be fetched OutboundError."""

    def __init__(
        self,
        target: str,
        outbound: Outbound,
        version: SpecVersion,
        access_token: str,
        now: float,
        visitor: Visitor | None = None,
    ) -> None:
        """`target`: the URL of an MCP endpoint, or an origin; `now`: seconds since the epoch."""
        self.target = urldefrag(target).url
        self.version = version
        self.access_token = access_token
        self.now = now
        self.visitor = visitor
        self._outbound = outbound
        self._slots: dict[Key, _Slot] = {}
        self._gate = anyio.CapacityLimiter(AT_ONCE)

    def since(self, version: SpecVersion) -> bool:
        """Say whether the run judges against this version or a later one."""
        return VERSIONS.index(self.version) >= VERSIONS.index(version)

    async def fetch(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, content: bytes = b""
    ) -> Exchange:
        """Send a request unless the same one was sent before; OutboundError as often as it is asked for."""
        key = (method, url, tuple(sorted((headers or {}).items())), content)
        slot = self._slots.setdefault(key, _Slot())
        async with slot.lock:
            if slot.outcome is None:
                async with self._gate:
                    try:
                        answer = await self._outbound.request(method, url, headers=headers, content=content or None)
                        slot.outcome = Exchange(method, answer)
                    except OutboundError as error:
                        slot.outcome = error
        if isinstance(slot.outcome, OutboundError):
            raise OutboundError(f"{method} {url}: {slot.outcome.reason}")
        return slot.outcome

    async def form(self, url: str, *pairs: tuple[str, str], headers: Mapping[str, str] | None = None) -> Exchange:
        """Post a form; a name may come twice."""
        return await self.fetch("POST", url, {**FORM, **(headers or {})}, urlencode(pairs).encode())

    async def document(self, url: str) -> Document:
        """Get a JSON object; whatever goes wrong stands in its `problem`."""
        try:
            exchange = await self.fetch("GET", url, {"Accept": "application/json"})
        except OutboundError as error:
            return Document(url, None, {}, error.reason)
        if exchange.answer.status != OK:
            return Document(url, exchange, {}, f"it answers {exchange.answer.status}")
        try:
            value = exchange.answer.json()
        except ValueError as error:
            return Document(url, exchange, {}, f"it is not JSON ({error})")
        if not isinstance(value, dict):
            return Document(url, exchange, {}, "it is JSON, but not an object")
        return Document(url, exchange, value, "")

    async def call(self, url: str, headers: Mapping[str, str] | None = None) -> Exchange:
        """Send the first request of a client of this version: `server/discover`, before 2026-07-28 `initialize`."""
        client = {"name": "mcp-oauth-audit", "version": "1"}
        fields = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        params: dict[str, Any] = {"protocolVersion": self.version, "capabilities": {}, "clientInfo": client}
        method = "initialize"
        if self.since("2026-07-28"):
            method = "server/discover"
            fields |= {"MCP-Protocol-Version": self.version, "Mcp-Method": method}
            meta = {"protocolVersion": self.version, "clientCapabilities": {}, "clientInfo": client}
            params = {"_meta": {_META + name: value for name, value in meta.items()}}
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return await self.fetch("POST", url, {**fields, **(headers or {})}, json.dumps(body).encode())

    async def endpoint(self) -> str:
        """Return the MCP endpoint: the target, or for an origin whichever of `/mcp` and the root asks for a token."""
        if urls.path(self.target):
            return self.target
        base = urls.origin(self.target)
        for candidate in (f"{base}/mcp", base):
            try:
                if (await self.call(candidate)).answer.status == UNAUTHORIZED:
                    return candidate
            except OutboundError:
                continue
        return f"{base}/mcp"

    async def refusal(self) -> Exchange:
        """Return the answer to a call without a token; Missing when the endpoint asks for none."""
        exchange = await self.call(await self.endpoint())
        if exchange.answer.status < 300:  # noqa: PLR2004 - any success
            raise Missing("the endpoint answers without a token, so it challenges nobody")
        return exchange

    async def challenge(self) -> tuple[Exchange, Challenge]:
        """Return the Bearer challenge of that answer; Missing when there is none."""
        exchange = await self.refusal()
        found = www_authenticate.read(exchange.answer.headers_of("WWW-Authenticate"))
        for challenge in found:
            if challenge.scheme == "bearer":
                return exchange, challenge
        raise Missing("the answer without a token carries no Bearer challenge")

    async def protected_resources(self) -> dict[str, Document]:
        """Return the protected resource metadata by how a client comes to it: `challenge`, `inserted`, `root`."""
        endpoint = await self.endpoint()
        places = {"inserted": urls.inserted(endpoint, urls.PRM), "root": urls.origin(endpoint) + urls.PRM}
        try:
            named = (await self.challenge())[1].parameters.get("resource_metadata")
            places = {"challenge": named, **places} if named and urls.read(named) else places
        except (Missing, OutboundError):
            pass  # a client goes on with the well-known places
        return {name: await self.document(url) for name, url in places.items()}

    async def protected_resource(self) -> Document:
        """Return the metadata that a client would use; Missing when there is none."""
        for document in (await self.protected_resources()).values():
            if not document.problem:
                return document
        raise Missing("no protected resource metadata was found")

    async def issuer(self) -> str:
        """Return the first authorization server named; the endpoint's origin when no metadata names any."""
        try:
            prm = await self.protected_resource()
        except Missing:
            return urls.origin(await self.endpoint())
        servers = prm.members.get("authorization_servers")
        first = servers[0] if isinstance(servers, list) and servers else None
        if not isinstance(first, str) or urls.read(first) is None:
            raise Missing("the protected resource metadata names no authorization server")
        return first

    async def metadata(self) -> Document:
        """Return the authorization server metadata a client would use; Missing when none is found."""
        return await self._first(urls.metadata_urls(await self.issuer()), "authorization server metadata")

    async def openid(self) -> Document:
        """Return the OpenID configuration; Missing when the server publishes none."""
        return await self._first(urls.openid_urls(await self.issuer()), "OpenID configuration")

    async def _first(self, places: tuple[str, ...], name: str) -> Document:
        for place in places:
            document = await self.document(place)
            if not document.problem:
                return document
        raise Missing(f"no {name} was found")

    async def stated(self, name: str) -> str:
        """Return a URL of the authorization server metadata; Missing when it states none."""
        url = (await self.metadata()).members.get(name)
        if not isinstance(url, str) or urls.read(url) is None:
            raise Missing(f"the metadata states no usable {name}")
        return url

    async def keys(self) -> tuple[Exchange, list[dict[str, Any]]]:
        """Return the published keys; Missing when there is no readable JWK Set."""
        document = await self.document(await self.stated("jwks_uri"))
        keys = document.members.get("keys")
        if not isinstance(keys, list) or not keys:
            raise Missing(f"the JWK Set cannot be read: {document.problem or 'it has no keys'}")
        return document.shown, [key for key in keys[:MOST_KEYS] if isinstance(key, dict)]
