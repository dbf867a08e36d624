"""The MCP clients that people use, with a person at the browser and a record of what each client sends."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

import fastmcp
import httpx2
import mcp
from fastmcp.client.auth import OAuth
from key_value.aio.stores.memory import MemoryStore
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

from tests.support.browser import Browser, query_of

Kind = Literal["fastmcp", "sdk"]
Era = Literal["legacy", "auto"]
KINDS: tuple[Kind, ...] = ("fastmcp", "sdk")
ERAS: tuple[Era, ...] = ("legacy", "auto")
VERSIONS = {"legacy": "2025-11-25", "auto": "2026-07-28"}
CALLBACK = "http://localhost:34567/callback"


@dataclass(frozen=True)
class Exchange:
    """One request as it left the client, and how it was answered."""

    method: str
    url: str
    headers: httpx2.Headers
    body: bytes
    status: int
    answer: httpx2.Headers

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    @property
    def form(self) -> dict[str, str]:
        """The parameters of a form, each of which must come once."""
        pairs = parse_qsl(self.body.decode(), strict_parsing=True)
        assert len(dict(pairs)) == len(pairs), pairs
        return dict(pairs)


@dataclass
class Person:
    """Who sits in front of the client: opens its links, signs in, grants these scopes (None: what is asked)."""

    browser: Browser
    scopes: list[str] | None = None
    opened: list[str] = field(default_factory=list)
    answer: str = ""

    async def open(self, url: str) -> None:
        self.opened.append(url)
        self.answer = await self.browser.authorize(url, self.scopes)

    async def callback(self) -> AuthorizationCodeResult:
        answer = query_of(self.answer)
        return AuthorizationCodeResult(code=answer["code"], state=answer.get("state"), iss=answer.get("iss"))

    @property
    def asked(self) -> list[dict[str, str]]:
        """The parameters of each authorization request so far."""
        return [query_of(url) for url in self.opened]


class Keychain:
    """Where a client keeps what it was given; it outlives the client."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


class _Recorded(OAuthClientProvider):
    """Keeps every request that passes through the client's authentication, which is every one it sends."""

    exchanges: list[Exchange]

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        async with aclosing(super().async_auth_flow(request)) as flow:
            sent = await anext(flow)
            while True:
                seen = (sent.method, str(sent.url), httpx2.Headers(sent.headers), await sent.aread())
                response = yield sent
                self.exchanges.append(Exchange(*seen, response.status_code, response.headers))
                try:
                    sent = await flow.asend(response)
                except StopAsyncIteration:
                    return


def sdk_auth(url: str, person: Person, keychain: Keychain, document: str | None = None) -> _Recorded:
    """The SDK's provider for the protected resource at this URL."""
    metadata = OAuthClientMetadata(client_name="SDK client", redirect_uris=[AnyUrl(CALLBACK)])
    auth = _Recorded(url, metadata, keychain, person.open, person.callback, client_metadata_url=document)
    auth.exchanges = []
    return auth


class _FastMcpAuth(_Recorded, OAuth):
    def __init__(self, person: Person, keychain: Keychain, client_id: str | None, document: str | None) -> None:
        self.exchanges = []
        self._person = person
        OAuth.__init__(self, token_storage=keychain.store, client_id=client_id, client_metadata_url=document)

    async def redirect_handler(self, authorization_url: str) -> None:
        await self._person.open(authorization_url)

    async def callback_handler(self) -> AuthorizationCodeResult:
        return await self._person.callback()


@dataclass(frozen=True)
class Connection:
    """A connected client, the same for both kinds."""

    client: Any
    auth: _Recorded
    kind: Kind

    async def tools(self) -> set[str]:
        listed = await self.client.list_tools()
        return {tool.name for tool in (listed if self.kind == "fastmcp" else listed.tools)}

    async def resources(self) -> set[str]:
        listed = await self.client.list_resources()
        return {str(found.uri) for found in (listed if self.kind == "fastmcp" else listed.resources)}

    async def call(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool that must succeed; returns its structured content."""
        result = await self.client.call_tool(name, arguments)
        assert not result.is_error, result.content
        assert result.content[0].text
        found: dict[str, Any] = result.structured_content
        return found

    async def read(self, uri: str) -> str:
        """The text of a resource."""
        found = await self.client.read_resource(uri)
        (content,) = found if self.kind == "fastmcp" else found.contents
        text: str = content.text
        return text

    @property
    def version(self) -> str:
        """The protocol version of the newest request to /mcp."""
        return str(self.sent("/mcp")[-1].headers["mcp-protocol-version"])

    @property
    def token(self) -> OAuthToken:
        found = self.auth.context.current_tokens
        assert found is not None
        return found

    def sent(self, path: str) -> list[Exchange]:
        """The requests to a path."""
        return [exchange for exchange in self.auth.exchanges if exchange.path == path]

    @property
    def trail(self) -> list[tuple[str, str, int]]:
        """Method, path and status of each request."""
        return [(exchange.method, exchange.path, exchange.status) for exchange in self.auth.exchanges]

    def expire(self) -> None:
        """Let the client believe that its access token has expired."""
        self.auth.context.token_expiry_time = 1.0


@asynccontextmanager
async def connected(
    kind: Kind,
    era: Era,
    url: str,
    person: Person,
    keychain: Keychain | None = None,
    *,
    client_id: str | None = None,
    document: str | None = None,
) -> AsyncIterator[Connection]:
    """Connect a client of this kind in this protocol era; the person does what the client asks for.

    A `client_id` is one that the client was given beforehand; a `document` the URL of its metadata document.
    """
    keychain = keychain or Keychain()
    if kind == "fastmcp":
        auth: _Recorded = _FastMcpAuth(person, keychain, client_id, document)
        async with fastmcp.Client(url, auth=auth, mode=era) as client:
            yield Connection(client, auth, kind)
        return
    if client_id is not None:
        keychain.client = OAuthClientInformationFull(client_id=client_id, redirect_uris=[AnyUrl(CALLBACK)])
    auth = sdk_auth(url, person, keychain, document)
    async with (
        httpx2.AsyncClient(auth=auth) as http,
        mcp.Client(streamable_http_client(url, http_client=http), mode=era) as sdk_client,
    ):
        yield Connection(sdk_client, auth, kind)
