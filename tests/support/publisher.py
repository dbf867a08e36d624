"""The hosts of clients that are known by a metadata document, as the server's outgoing requests meet them."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx2

from oauth_server.outbound import Limits, Outbound
from tests.support.oauth import OAuthClient
from tests.support.server import Running

URL = "https://editor.example/oauth/client.json"
CALLBACK = "http://localhost/callback"
HOSTED = "https://editor.example/callback"
PUBLIC_ADDRESS = "93.184.216.34"


@dataclass
class Page:
    """What stands at one URL."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


class Publisher(httpx2.AsyncBaseTransport):
    """Answers by URL, counts what was asked, and can be held up."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.asked: Counter[str] = Counter()
        self.requests: list[httpx2.Request] = []
        self.open = asyncio.Event()
        self.open.set()
        self.reached = asyncio.Event()

    def connect(self, limits: Limits) -> Outbound:
        """What the server makes its requests with."""
        return Outbound(limits=limits, transport=self)

    def publish(self, url: str = URL, document: object = None, /, **members: Any) -> str:
        """Put a client's metadata document at a URL, and return the URL; `members` differ from the usual ones."""
        usual = {
            "client_id": url,
            "client_name": "The editor",
            "redirect_uris": [CALLBACK, HOSTED],
            "token_endpoint_auth_method": "none",
        }
        found = {k: v for k, v in {**usual, **members}.items() if v is not None} if document is None else document
        self.pages[url] = Page(json.dumps(found).encode())
        return url

    def headers(self, headers: Mapping[str, str], url: str = URL) -> None:
        """Add headers to what stands at a URL."""
        self.pages[url].headers |= headers

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = str(request.url)
        self.asked[url] += 1
        self.requests.append(request)
        self.reached.set()
        await self.open.wait()
        page = self.pages.get(url)
        if page is None:
            raise httpx2.ConnectError("nobody listens there")
        tag = page.headers.get("ETag")
        if tag is not None and request.headers.get("if-none-match") == tag:
            return httpx2.Response(304, headers=page.headers)
        return httpx2.Response(page.status, headers=page.headers, content=page.body)


def documented(
    closing: AsyncExitStack, server: Running, client_id: str = URL, redirect_uri: str = "http://localhost:4567/callback"
) -> OAuthClient:
    """A client known by its metadata document."""
    client = OAuthClient(server, client_id, redirect_uri)
    closing.push_async_callback(client.close)
    return client
