"""Many at once, against several processes of the program on one database."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import Connection, func, select

from oauth_server.core.clock import random_id
from oauth_server.store.schema import audit, grants, refresh_tokens
from oauth_server.store.store import Store
from tests.support.browser import Browser
from tests.support.oauth import CALLBACK, DEFAULT_CLIENT, OAuthClient, Pkce
from tests.support.program import SERVER, environment, free_port, program

PASSWORD = "a password for racing"


def rows_of(connection: Connection) -> Counter[str]:
    """How many grants, refresh tokens and successes in the audit log there are; a verb."""
    found = Counter({t.name: connection.scalar(select(func.count()).select_from(t)) for t in (grants, refresh_tokens)})
    found["live grants"] = connection.scalar(select(func.count()).where(grants.c.revoked_at.is_(None)))
    events = select(audit.c.event, func.count()).where(audit.c.outcome == "success").group_by(audit.c.event)
    return found + Counter({str(event): count for event, count in connection.execute(events)})


@dataclass
class Races:
    """The processes, by their addresses, and somebody who is signed in at one of them."""

    issuer: str
    ways: Sequence[httpx2.AsyncClient]  # one for each process
    browser: Browser
    store: Store
    held: int = 0
    violations: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The address that clients know."""
        return self.issuer

    def client(self) -> httpx2.AsyncClient:
        """An HTTP client for OAuthClient."""
        return httpx2.AsyncClient(base_url=self.issuer, timeout=60)

    async def post(self, forms: Sequence[tuple[str, dict[str, Any]]]) -> list[httpx2.Response]:
        """Send forms at once, in turn to each process."""
        order = random.sample(range(len(forms)), len(forms))
        sent = [
            self.ways[place % len(self.ways)].post(forms[n][0], data=forms[n][1], headers=elsewhere())
            for place, n in enumerate(order)
        ]
        return [reply for _, reply in sorted(zip(order, await asyncio.gather(*sent), strict=True), key=lambda f: f[0])]

    async def code(self) -> dict[str, str]:
        """The token request for a fresh code."""
        pkce, application = Pkce.new(), OAuthClient(self)  # type: ignore[arg-type]
        self.browser.http.headers.update(elsewhere())
        code = await application.code(self.browser, pkce, scope="mcp:read")
        await application.close()
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
        return form | {"code_verifier": pkce.verifier, "client_id": DEFAULT_CLIENT}

    async def refresh_token(self) -> str:
        """A refresh token of a fresh grant."""
        (reply,) = await self.post([("/oauth/token", await self.code())])
        assert reply.status_code == 200, reply.text
        return str(reply.json()["refresh_token"])

    def fact(self, true: object, text: str) -> None:
        """What must hold in each race."""
        self.held += 1
        if not true:
            self.violations.append(text)

    # The races

    async def redemptions(self, many: int) -> None:
        """One code, redeemed by many: one is granted, the others are refused, and it keeps its grant."""
        form, before = await self.code(), await self.store.read(rows_of)
        replies = await self.post([("/oauth/token", form)] * many)
        answers = Counter((r.status_code, r.json().get("error")) for r in replies)
        self.fact(answers == {(200, None): 1, (400, "invalid_grant"): many - 1}, f"redemptions: {answers}")
        made = await self.store.read(rows_of) - before
        self.fact(made == {"grants": 1, "live grants": 1, "refresh_tokens": 1, "code.redeemed": 1}, f"made: {made}")
        (winner,) = [r.json() for r in replies if r.status_code == 200][:1] or [{}]
        (again,) = await self.post([self.refreshing(winner.get("refresh_token", ""))])
        self.fact(again.status_code == 200, f"the winner's refresh token: {again.text}")

    def refreshing(self, token: str) -> tuple[str, dict[str, str]]:
        """The token request with a refresh token."""
        form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": DEFAULT_CLIENT}
        return "/oauth/token", form

    async def refreshes(self, many: int) -> None:
        """One refresh token, used by many within its grace window: one rotation, of which all get the successor."""
        token, before = await self.refresh_token(), await self.store.read(rows_of)
        replies = await self.post([self.refreshing(token)] * many)
        answers = Counter(r.status_code for r in replies)
        self.fact(answers == {200: many}, f"refreshes: {answers}")
        successors = {r.json().get("refresh_token") for r in replies}
        self.fact(len(successors - {token}) == 1, f"{len(successors)} successors")
        made = await self.store.read(rows_of) - before
        told = {"token.refreshed": 1, "token.replayed": many - 1}
        self.fact(made == {"refresh_tokens": 1, **told}, f"refreshes made: {made}")

    async def refreshes_without_grace(self, many: int) -> None:
        """One refresh token, used by many without a grace window: one is granted, the reuse ends the family."""
        token, before = await self.refresh_token(), await self.store.read(rows_of)
        replies = await self.post([self.refreshing(token)] * many)
        answers = Counter((r.status_code, r.json().get("error")) for r in replies)
        self.fact(answers == {(200, None): 1, (400, "invalid_grant"): many - 1}, f"without grace: {answers}")
        after = await self.store.read(rows_of)
        self.fact(after["refresh_tokens"] - before["refresh_tokens"] == 1, "more than one successor")
        self.fact(after["live grants"] - before["live grants"] == -1, "the reuse did not end the family")
        (winner,) = [r.json() for r in replies if r.status_code == 200][:1] or [{}]
        (again,) = await self.post([self.refreshing(winner.get("refresh_token", ""))])
        self.fact(again.status_code == 400, "the successor lives on")

    async def refreshes_and_a_revocation(self, many: int) -> None:
        """A revocation among refreshes: whatever was issued before it, nothing of the grant works after it."""
        token = await self.refresh_token()
        revoking = ("/oauth/revoke", {"token": token, "client_id": DEFAULT_CLIENT})
        replies = await self.post([self.refreshing(token)] * (many - 1) + [revoking])
        self.fact(replies[-1].status_code == 200, f"the revocation: {replies[-1].text}")
        granted = [r.json() for r in replies[:-1] if r.status_code == 200]
        late = await self.post([self.refreshing(token), *(self.refreshing(g["refresh_token"]) for g in granted[:1])])
        self.fact({r.status_code for r in late} == {400}, "a refresh after the acknowledged revocation")
        await asyncio.sleep(1)  # the bound within which every process knows
        opened = [
            (await self.ways[n % len(self.ways)].get("/oauth/test", headers=_bearer(g))).status_code
            for n, g in enumerate(granted)
        ]
        self.fact(set(opened) <= {401}, f"access tokens of a revoked grant: {opened}")

    async def registrations(self, many: int) -> None:
        """The same public client, registered by many: one client."""
        body = {"client_name": f"race {random_id()}", "redirect_uris": [CALLBACK]}
        sent = [
            self.ways[n % len(self.ways)].post("/oauth/register", json=body, headers=elsewhere()) for n in range(many)
        ]
        replies = await asyncio.gather(*sent)
        ids = {r.json().get("client_id") for r in replies}
        self.fact({r.status_code for r in replies} == {201}, f"registrations: {replies[0].text}")
        self.fact(len(ids) == 1, f"{len(ids)} clients for one registration")


def _bearer(tokens: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['access_token']}"}


_number = itertools.count()


def elsewhere() -> dict[str, str]:
    """The headers of somebody at another address: so many from one would meet the bound on refusals."""
    return {"X-Forwarded-For": f"198.18.{next(_number) // 256 % 256}.{next(_number) % 256}"}


@asynccontextmanager
async def races(database_url: str, folder: Path, *, processes: int = 2, grace: int = 30) -> AsyncIterator[Races]:
    """Run the program so many times on one database, as replicas behind one issuer."""
    ports = [free_port() for _ in range(processes)]
    issuer = f"http://127.0.0.1:{ports[0]}"
    own = {"MCP_OAUTH_ISSUER": issuer, "MCP_OAUTH_DATABASE_URL": database_url, "MCP_OAUTH_ADMIN_PASSWORD": PASSWORD}
    env = environment(folder, **own, MCP_OAUTH_REFRESH_GRACE=str(grace), MCP_OAUTH_TOKEN_EXPIRY="86400")
    env["MCP_OAUTH_TRUSTED_PROXIES"] = "127.0.0.1"
    async with AsyncExitStack() as stack:
        for port in ports:
            server = await stack.enter_async_context(program(*SERVER, "--port", str(port), env=env))
            await server.ready(f"http://127.0.0.1:{port}")
        limits = httpx2.Limits(max_connections=100)
        ways = [
            await stack.enter_async_context(
                httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60, limits=limits)
            )
            for port in ports
        ]
        browser = Browser(issuer, "admin", PASSWORD)
        browser.http.timeout = 60
        stack.push_async_callback(browser.close)
        store = Store(database_url)
        stack.callback(store.close)
        yield Races(issuer, ways, browser, store)
