"""What was asked, what was acknowledged, and what nobody knows: kept by whoever asked, outside the server."""

import asyncio
import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.support.browser import Browser
from tests.support.oauth import OAuthClient
from tests.support.proxy import TlsProxy


class LostError(Exception):
    """No answer came, or one that says nothing: what was asked may have been done or not."""


def succeeded(reply: httpx2.Response) -> bool:
    """Whether a reply grants what was asked."""
    return reply.status_code < 400


def with_code(reply: httpx2.Response) -> bool:
    """Whether a redirect brings a code."""
    return "code=" in reply.headers.get("location", "")


@dataclass
class Journal:
    """The counts of all actors together, and the moment at which somebody wants the server killed."""

    acknowledged: Counter[str] = field(default_factory=Counter)  # by the name of the audit event
    unknown: Counter[str] = field(default_factory=Counter)
    facts: int = 0
    violations: list[str] = field(default_factory=list)
    aimed: str | None = None  # the event whose next request sets `fire`
    fire: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(
        self,
        request: Awaitable[httpx2.Response],
        event: str | None = None,
        done: Callable[[httpx2.Response], bool] = succeeded,
    ) -> httpx2.Response:
        """Send a request; `event` is what the audit log must have when it is `done`. Raises LostError."""
        if event is not None:
            self.unknown[event] += 1
            if event == self.aimed:
                self.fire.set()
        try:
            reply = await request
        except httpx2.TransportError as error:
            raise LostError from error
        if reply.status_code >= 500:
            raise LostError
        if event is not None:
            self.unknown[event] -= 1
            self.acknowledged[event] += done(reply)
        return reply

    def fact(self, true: object, text: str) -> None:
        """Count a fact that was checked; one that is not so is a violation."""
        self.facts += 1
        if not true:
            self.violations.append(text)


@dataclass
class World:
    """The server as everybody outside sees it: its address, which a proxy leads to a port, and the journal."""

    url: str
    port: int
    journal: Journal
    random: random.Random
    opened: set[httpx2.AsyncClient] = field(default_factory=set)

    def client(self) -> httpx2.AsyncClient:
        """An HTTP client, as OAuthClient makes it: at an address of its own, so that no limit by address is met."""
        http = TlsProxy(self.port).client(self.url)
        http.timeout = 30
        return self.at_an_address(http)

    def browser(self, username: str, password: str) -> Browser:
        """A browser at an address of its own."""
        return Browser(self.url, username, password, self.client())

    def at_an_address(self, http: httpx2.AsyncClient) -> httpx2.AsyncClient:
        """Let a client come from a random address, as a proxy would tell, and be closed at the end."""
        self.opened.add(http)
        http.headers["X-Forwarded-For"] = ".".join(str(self.random.randint(1, 250)) for _ in range(4))
        return http

    def application(self, registered: dict[str, Any]) -> OAuthClient:
        """The client that a registration describes."""
        method = registered["token_endpoint_auth_method"]
        redirect_uri = next(iter(registered["redirect_uris"]), "")
        return OAuthClient(self, registered["client_id"], redirect_uri, registered.get("client_secret"), method)  # type: ignore[arg-type]

    async def opens(self, http: httpx2.AsyncClient, access_token: str) -> int:
        """What an access token gets: 200, or 401."""
        headers = {"Authorization": f"Bearer {access_token}"}
        return (await self.journal.ask(http.get("/oauth/test", headers=headers))).status_code


class Actor(ABC):
    """Somebody who goes on asking until the server is gone, and afterwards holds it to its word."""

    name = "somebody"

    def __init__(self, world: World) -> None:
        self.world = world
        self.ask = world.journal.ask
        self.random = world.random

    @abstractmethod
    async def load(self) -> None:
        """Ask without end; raises LostError when the server is gone."""

    @abstractmethod
    async def check(self) -> None:
        """Ask for everything that was acknowledged, and find out what became of the rest."""

    def fact(self, true: object, text: str) -> None:
        """Count a fact that was checked."""
        self.world.journal.fact(true, f"{self.name}: {text}")
