"""Clients that never pause: whatever fails is remembered."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import httpx2

from tests.support.journey import Place, person
from tests.support.mcp_http import headers_for, message
from tests.support.oauth import OAuthClient

REGISTRATION = {"client_name": "Of the traffic", "redirect_uris": ["http://localhost/traffic"]}


class Traffic:
    """Runs requests of every kind against a place, several clients at a time, until the context ends."""

    def __init__(self, place: Place, clients: int = 2) -> None:
        self._place = place
        self._clients = clients
        self._ending = False
        self._tasks: list[asyncio.Task[None]] = []
        self._opened = AsyncExitStack()
        self.times: dict[str, list[float]] = {}  # by method and path: seconds until the answer
        self.failed: list[str] = []

    @property
    def answered(self) -> int:
        """How many requests were answered as they should be."""
        return sum(map(len, self.times.values()))

    def kinds(self) -> set[str]:
        """What was asked, as method and path."""
        return set(self.times)

    async def __aenter__(self) -> Self:
        browser = person(self._place)
        for _ in range(self._clients):
            client = OAuthClient(self._place)  # type: ignore[arg-type]
            self._opened.push_async_callback(client.close)
            tokens = await client.tokens(browser)
            works = (self._refreshes(client, tokens["refresh_token"]), self._asks(client.http, tokens["access_token"]))
            self._tasks += map(asyncio.create_task, works)
        await browser.http.aclose()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending = True
        await asyncio.gather(*self._tasks)
        await self._opened.aclose()

    async def _send(
        self, name: str, status: int, request: Callable[[], Awaitable[httpx2.Response]]
    ) -> httpx2.Response | None:
        began = time.monotonic()
        try:
            reply = await request()
        except httpx2.HTTPError as error:
            self.failed.append(f"{name}: {error!r}")
            return None
        if reply.status_code != status:
            self.failed.append(f"{name}: {reply.status_code} {reply.text[:100]}")
            return None
        self.times.setdefault(name, []).append(time.monotonic() - began)
        return reply

    async def _refreshes(self, client: OAuthClient, token: str) -> None:
        while not self._ending:
            reply = await self._send("POST /oauth/token", 200, lambda: client.refresh(token))  # noqa: B023 - awaited here
            if reply is not None:
                token = reply.json()["refresh_token"]
            await self._send(
                "POST /oauth/register", 201, lambda: client.http.post("/oauth/register", json=REGISTRATION)
            )

    async def _asks(self, http: httpx2.AsyncClient, token: str) -> None:
        bearer = {"Authorization": f"Bearer {token}"}
        sent = headers_for("modern", "tools/list", token=token)
        while not self._ending:
            await self._send("GET /oauth/test", 200, lambda: http.get("/oauth/test", headers=bearer))
            body = message("modern", "tools/list")
            await self._send("POST /mcp", 200, lambda: http.post("/mcp", json=body, headers=sent))  # noqa: B023
