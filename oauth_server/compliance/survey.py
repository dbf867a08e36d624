"""All that is known of the server so far: every answer is fetched once, and shared by the checks that need it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urldefrag, urlencode

import anyio

from oauth_server.compliance import messages, urls, www_authenticate
from oauth_server.compliance.document import Document, document_of
from oauth_server.compliance.model import VERSIONS, Exchange, Missing, SpecVersion
from oauth_server.compliance.parties import Client, Once
from oauth_server.compliance.visitor import Visitor
from oauth_server.compliance.walk import Walk
from oauth_server.compliance.www_authenticate import Challenge
from oauth_server.outbound import Outbound, OutboundError

AT_ONCE: Final = 8
MOST_BYTES: Final = 16 << 20  # of all answers of a run together
MOST_KEYS: Final = 100
UNAUTHORIZED: Final = 401
FORM: Final = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}

Key = tuple[str, str, tuple[tuple[str, str], ...], bytes]


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
        given: Client | None = None,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
        places: Mapping[str, str] | None = None,
    ) -> None:
        """`target`: the URL of an MCP endpoint, an origin, or an issuer; `now`: seconds since the epoch.

        `places`: the origin (`urls.ascii_origin`) at which an endpoint is asked, by its metadata name, and nowhere
        else; an endpoint that is not among them is asked wherever the metadata says.
        """
        self.target = urldefrag(target).url
        self.version = version
        self.access_token = access_token
        self.now = now
        self.sleep = sleep
        self.secrets: dict[str, None] = {}  # what no report may repeat
        self.hide(access_token)
        self.walk = Walk(self, visitor, given)
        self._outbound = outbound
        self._places = places or {}
        self._asked: dict[Key, Once] = {}
        self._documents: dict[str, Document] = {}  # read once; each was fetched once
        self._endpoint = Once()
        self._received = 0
        self._gate = anyio.CapacityLimiter(AT_ONCE)

    def hide(self, *secrets: str) -> None:
        """Keep these out of every report."""
        self.secrets.update(dict.fromkeys(filter(None, secrets)))

    def since(self, version: SpecVersion) -> bool:
        """Say whether the run judges against this version or a later one."""
        return VERSIONS.index(self.version) >= VERSIONS.index(version)

    async def send(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, content: bytes = b""
    ) -> Exchange:
        """Send a request, also one that was sent before; OutboundError when no answer comes."""
        async with self._gate:
            if self._received > MOST_BYTES:
                raise OutboundError(f"{method} {url}: the server has sent more than {MOST_BYTES >> 20} MiB in all")
            try:
                answer = await self._outbound.request(method, url, headers=headers, content=content or None)
            except OutboundError as error:
                raise OutboundError(f"{method} {url}: {error.reason}") from None
            self._received += len(answer.body)
            return Exchange(method, answer)

    async def fetch(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, content: bytes = b""
    ) -> Exchange:
        """Send a request unless the same one was sent before; OutboundError as often as it is asked for."""
        key = (method, url, tuple(sorted((headers or {}).items())), content)
        found: Exchange = await self._asked.setdefault(key, Once()).get(
            lambda: self.send(method, url, headers, content)
        )
        return found

    async def form(self, url: str, *pairs: tuple[str, str], headers: Mapping[str, str] | None = None) -> Exchange:
        """Post a form; a name may come twice."""
        return await self.fetch("POST", url, {**FORM, **(headers or {})}, urlencode(pairs, errors="replace").encode())

    async def send_form(
        self, url: str, pairs: Sequence[tuple[str, str]], headers: Mapping[str, str] | None = None
    ) -> Exchange:
        """Post a form, also one that was posted before."""
        return await self.send("POST", url, {**FORM, **(headers or {})}, urlencode(pairs, errors="replace").encode())

    async def document(self, url: str) -> Document:
        """Get a JSON object; whatever goes wrong stands in its `problem`."""
        try:
            exchange = await self.fetch("GET", url, {"Accept": "application/json"})
        except OutboundError as error:
            return document_of(url, error)
        if url not in self._documents:
            self._documents[url] = document_of(url, exchange)
        return self._documents[url]

    async def call(self, url: str, headers: Mapping[str, str] | None = None) -> Exchange:
        """Send the first request of a client of this version: `server/discover`, before 2026-07-28 `initialize`."""
        fields, body = messages.first(self.version)
        return await self.fetch("POST", url, {**fields, **(headers or {})}, body)

    async def call_again(self, url: str, headers: Mapping[str, str] | None = None) -> Exchange:
        """Send that request, also when it was sent before."""
        fields, body = messages.first(self.version)
        return await self.send("POST", url, {**fields, **(headers or {})}, body)

    async def endpoint(self) -> str:
        """Return the MCP endpoint: the target, or for an origin whichever of `/mcp` and the root asks for a token.

        Missing when the target is an authorization server without one.
        """
        found: str = await self._endpoint.get(self._find_endpoint)
        return found

    async def is_issuer(self) -> bool:
        """Say whether the target is an authorization server without an MCP endpoint."""
        try:
            await self.endpoint()
        except Missing:
            return True
        return False

    async def _find_endpoint(self) -> str:
        base = urls.origin(self.target)
        candidates = (self.target,) if urls.path(self.target) else (f"{base}/mcp", base)
        for candidate in candidates:
            try:
                if (await self.call(candidate)).answer.status == UNAUTHORIZED:
                    return candidate
            except OutboundError:
                continue
        if await self._names_issuer():
            raise Missing("the target is an authorization server, and no MCP endpoint")
        return candidates[0]

    async def _names_issuer(self) -> bool:
        """Say whether the target is an issuer's identifier, and nothing there is said to be a resource."""
        if not (await self.document(urls.inserted(self.target, urls.PRM))).problem:
            return False
        found = [await self.document(url) for url in urls.metadata_urls(self.target)]
        return any(item.members.get("issuer") == self.target for item in found)

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
        if await self.is_issuer():
            return self.target
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
        # The server chooses its metadata, and may choose other metadata for each request.
        if name in self._places and urls.ascii_origin(url) != self._places[name]:
            raise Missing(f"the {name} is at {urls.origin(url)}, to which nothing of the operator's goes")
        return url

    async def public_documents(self) -> list[Document]:
        """Return the metadata documents that a client reads: of an authorization server alone, its own."""
        resource = [] if await self.is_issuer() else [await self.protected_resource()]
        return [*resource, await self.metadata()]

    async def keys(self) -> tuple[Exchange, list[dict[str, Any]]]:
        """Return the published keys; Missing when there is no readable JWK Set."""
        document = await self.document(await self.stated("jwks_uri"))
        keys = document.members.get("keys")
        if not isinstance(keys, list) or not keys:
            raise Missing(f"the JWK Set cannot be read: {document.problem or 'it has no keys'}")
        return document.shown, [key for key in keys[:MOST_KEYS] if isinstance(key, dict)]

    async def wanted_scope(self) -> str:
        """Return what a client asks for first: the challenge's scopes, else all of the resource's, else nothing.

        Where the target is an authorization server alone: `openid`, when it knows it.
        """
        if await self.is_issuer():
            supported = (await self.metadata()).members.get("scopes_supported")
            return "openid" if isinstance(supported, list) and "openid" in supported else ""
        try:
            named = (await self.challenge())[1].parameters.get("scope", "")
        except (Missing, OutboundError):
            named = ""
        if named:
            return named
        try:
            supported = (await self.protected_resource()).members.get("scopes_supported")
        except (Missing, OutboundError):
            return ""
        return " ".join(item for item in supported if isinstance(item, str)) if isinstance(supported, list) else ""

    async def wanted_resource(self) -> str:
        """Return the resource indicator of the endpoint: what its metadata names, else its URL; Missing without one."""
        endpoint = await self.endpoint()
        try:
            value = (await self.protected_resource()).members.get("resource")
        except Missing:
            return endpoint
        return value if isinstance(value, str) and urls.read(value) else endpoint

    async def token(self) -> str:
        """Return an access token that opens the endpoint: the one that was given, else that of a flow."""
        return self.access_token or (await self.walk.tokens()).access_token
