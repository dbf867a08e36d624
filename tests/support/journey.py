"""Everything a person and a client do, from the registration to the sign-out, over whatever way leads to the server."""

import re
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import anyio
import httpx2

from tests.support.browser import Browser
from tests.support.mcp_http import ERAS, ask, result
from tests.support.oauth import OAuthClient, Pkce
from tests.support.registration import as_sent, client_of, made, managed
from tests.support.replicas import InTurn

LONGEST = 1.0  # seconds until what one process ended is refused by all


class Place(Protocol):
    """Where a server is reached."""

    url: str

    def client(self, **kwargs: object) -> httpx2.AsyncClient:
        """A client of it that follows no redirect."""


def person(place: Place, username: str = "admin") -> Browser:
    """A browser that reaches the server as clients do."""
    return Browser(place.url, username, http=place.client())


async def refused(http: httpx2.AsyncClient, token: str, status: int = 401) -> float:
    """Wait until a process refuses a token; for how many seconds it did not, from now on."""
    began = time.monotonic()
    with anyio.fail_after(10):
        while True:
            asked = time.monotonic()
            reply = await http.get("/oauth/test", headers={"Authorization": f"Bearer {token}"})
            if reply.status_code == status:
                return asked - began
            assert reply.status_code == 200, reply.text
            await anyio.sleep(0.01)


async def journey(place: Place) -> None:
    """Take every step once; each must succeed."""
    browser, plain = person(place), OAuthClient(place)  # type: ignore[arg-type]
    registered = await made(plain, client_name="App", token_endpoint_auth_method="client_secret_post")
    client = client_of(place, registered)  # type: ignore[arg-type]
    tokens = await client.tokens(browser, scope="openid mcp:read mcp:write")
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    for era in ERAS:
        assert result(await ask(client.http, era, "tools/list", token=tokens["access_token"]))["tools"]
    assert (await client.http.get("/oauth/userinfo", headers=bearer)).json()["sub"]
    fresh = (await client.refresh(tokens["refresh_token"])).json()
    assert await _introspected(client, fresh["access_token"])
    assert (await managed(client, registered)).json()["client_id"] == client.client_id
    update = as_sent(registered, client_name="The app", client_secret=registered["client_secret"])
    changed = (await managed(client, registered, "PUT", update)).json()
    assert changed["client_name"] == "The app"
    await client.http.post("/oauth/revoke", data={"token": fresh["access_token"], **_own(client)})
    await refused(client.http, fresh["access_token"])
    pkce = Pkce.new()
    page = await browser.http.get(client.url(pkce, scope="mcp:read"))
    if place.url.startswith("http:"):  # such an issuer asks each time who it is
        page = await browser.sign_in(page)
    assert page.status_code == 302, page.text  # the consent is remembered, the session known
    again = await client.tokens(browser, scope="mcp:read")
    page = await browser.account()
    assert "The app" in page.text
    assert (await browser.submit(page, button=("action", "disconnect"))).status_code == 303
    await refused(client.http, again["access_token"])
    assert (await client.refresh(again["refresh_token"])).json()["error"] == "invalid_grant"
    assert (await managed(client, changed, "DELETE")).status_code == 204
    assert "You are signed out" in (await browser.sign_out(page)).text
    for http in (browser.http, plain.http, client.http):
        await http.aclose()


def _own(client: OAuthClient) -> dict[str, Any]:
    return {"client_id": client.client_id, "client_secret": client.secret}


async def _introspected(client: OAuthClient, token: str) -> bool:
    reply = await client.http.post("/oauth/introspect", data={"token": token, **_own(client)})
    return reply.json()["active"] is True


class _Lent(httpx2.AsyncBaseTransport):
    """A transport that outlives the clients it is lent to."""

    def __init__(self, way: httpx2.AsyncBaseTransport) -> None:
        self._way = way

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return await self._way.handle_async_request(request)


@dataclass
class Alternating:
    """A place whose every request goes to the other process, whoever sends it."""

    url: str
    way: InTurn

    def client(self, **_kwargs: object) -> httpx2.AsyncClient:
        """A client; all of them share the way, and with it the turn."""
        return httpx2.AsyncClient(base_url=self.url, transport=_Lent(self.way), follow_redirects=False)


async def journey_in_turn(place: Alternating) -> None:
    """The journey twice, so that each process takes the steps that the other one took the first time."""
    log = place.way.log
    await journey(place)
    if len(log) % 2 == 0:
        async with place.client() as http:
            await http.get("/healthz")
    await journey(place)
    turns = [turn for turn, _, _ in log]
    assert all(one != following for one, following in pairwise(turns))
    taken = [
        {
            (method, *re.sub(r"^/s/[^/]+", "", path).split("/")[1:3])  # without the session's own part
            for turn, method, path in log
            if turn == process and path != "/healthz"
        }
        for process in (0, 1)
    ]
    assert taken[0] == taken[1]
    assert len(taken[0]) >= 14
    await place.way.aclose()
