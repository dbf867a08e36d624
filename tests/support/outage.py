"""Somebody who watches a server through an outage: what still answers, what says when to come back, and how long it took."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx2

from tests.support.journey import Place, person
from tests.support.mcp_http import ERAS, READ_TOOL, call, result
from tests.support.oauth import CALLBACK, OAuthClient, Pkce

LIMIT = 20.0  # seconds; whatever takes longer hangs


@dataclass
class Witness:
    """A client that signed in before; `seconds` has how long the slowest answer of the last look took.

    `processes`: the URLs of the processes behind a proxy.
    """

    place: Place
    client: OAuthClient
    tokens: dict[str, Any]
    seconds: float = 0.0
    processes: Sequence[str] = ()

    @classmethod
    @asynccontextmanager
    async def signed_in(cls, place: Place, processes: Sequence[str] = ()) -> AsyncIterator["Witness"]:
        """Walk a whole flow while everything works, and watch from then on."""
        browser, client = person(place), OAuthClient(place)  # type: ignore[arg-type]
        try:
            tokens = await client.tokens(browser, scope="openid mcp:read mcp:write")
            yield cls(place, client, tokens, processes=processes)
        finally:
            await browser.close()
            await client.close()

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens['access_token']}"}

    async def tokens_verify(self) -> None:
        """At /oauth/test and, in both eras, at /mcp."""
        http, token = self.client.http, self.tokens["access_token"]
        assert (await http.get("/oauth/test", headers=self.bearer)).status_code == 200
        for era in ERAS:
            assert not result(await call(http, era, READ_TOOL, token)).get("isError")

    async def documents_are_served(self) -> None:
        """The key set and the metadata."""
        for path in ("jwks.json", "oauth-authorization-server", "oauth-protected-resource/mcp"):
            reply = await self.client.http.get(f"/.well-known/{path}")
            assert reply.status_code == 200, (reply.status_code, reply.text)

    async def no_token_verifies(self) -> None:
        """Neither there; and nowhere is a good token called bad."""
        http, token = self.client.http, self.tokens["access_token"]
        replies = [
            await http.get("/oauth/test", headers=self.bearer),
            await http.get("/oauth/userinfo", headers=self.bearer),
        ]
        replies += [await call(http, era, READ_TOOL, token) for era in ERAS]
        for reply in replies:
            assert_unavailable(reply)

    async def health(self) -> tuple[int, int]:
        """The status of /healthz and of /readyz."""
        live, route, ready = [await self.client.http.get(path) for path in ("/healthz", "/routez", "/readyz")]
        assert route.status_code == live.status_code  # what fails for all replicas is no reason to ask another one
        if ready.status_code != 200:
            assert ready.headers["retry-after"] == "5"
        return live.status_code, ready.status_code

    async def everything_else_is_unavailable(self) -> None:
        """503 with Retry-After and an OAuth error, at once or after a while, but never later than that."""
        http, form = self.client.http, {"token": "x", "client_id": self.client.client_id}
        refresh = {"grant_type": "refresh_token", "refresh_token": self.tokens["refresh_token"], **form}
        code = {"grant_type": "authorization_code", "code": "x", "code_verifier": "v" * 43, **form}
        url, cookie = self._with_a_session(self.client.url(Pkce.new()))
        began = time.monotonic()
        replies = await asyncio.wait_for(
            asyncio.gather(
                http.post("/oauth/token", data=refresh),
                http.post("/oauth/token", data=code),
                http.post("/oauth/revoke", data=form),
                http.post("/oauth/introspect", data={**form, "client_id": "not-in-memory"}),
                http.post("/oauth/register", json={"redirect_uris": [CALLBACK]}),
                http.get("/oauth/userinfo", headers=self.bearer),
                http.get(url, headers={"Cookie": f"{cookie}=x", "Sec-Fetch-Site": "same-origin"}),
            ),
            LIMIT,
        )
        self.seconds = time.monotonic() - began
        page = replies.pop()
        assert (page.status_code, page.headers["retry-after"], "location" in page.headers) == (503, "5", False)
        assert "temporarily_unavailable" in page.text
        for reply in replies:
            assert_unavailable(reply)

    def _with_a_session(self, url: str) -> tuple[str, str]:
        """The URL of an authorization request of a browser that may be signed in, and the name of its cookie."""
        key = "s" * 22
        issuer = self.client.http.base_url
        if issuer.scheme == "https":
            return url, f"__Host-mcp_session_{key}"
        return url.replace("/oauth/", f"/s/{key}/oauth/", 1), f"mcp_session_{issuer.port}_{key}"

    async def recovered(self) -> float:
        """Wait until the server is ready again, and see that it is; the seconds it took."""
        began = time.monotonic()
        async with httpx2.AsyncClient() as beside:
            asked = [partial(beside.get, f"{url}/readyz") for url in self.processes]
            for ready in (*asked, partial(self.client.http.get, "/readyz")):
                while (reply := await ready()).status_code != 200:
                    assert time.monotonic() - began < LIMIT, reply.text
                    await asyncio.sleep(0.05)
        seconds = time.monotonic() - began
        reply = await self.client.refresh(self.tokens["refresh_token"])
        assert reply.status_code == 200, reply.text
        self.tokens = reply.json()
        await self.tokens_verify()
        return seconds


def assert_unavailable(reply: httpx2.Response) -> None:
    """503, the OAuth error, and when to come back."""
    assert reply.status_code == 503, (reply.url, reply.status_code, reply.text)
    assert reply.json()["error"] == "temporarily_unavailable"
    assert (reply.headers["retry-after"], reply.headers["cache-control"]) == ("5", "no-store")
    assert "www-authenticate" not in reply.headers
