"""Applications: they register, redeem codes, refresh, revoke, and act for themselves."""

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx2

from tests.support.crashes.journal import Actor, World, with_code
from tests.support.crashes.people import ACCOUNT, FIRST_PASSWORD
from tests.support.oauth import CALLBACK, OAuthClient, Pkce
from tests.support.outside import bearer

KEPT = 6  # of each kind, to be asked for after later crashes as well


@dataclass
class Known:
    """A client as its registration was acknowledged; `pending` is what was asked for and not answered."""

    registered: dict[str, Any]
    application: OAuthClient
    deleted: bool = False
    pending: str = ""


class Registrar(Actor):
    """Registers clients, changes them, deletes some."""

    name = "a registration"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.clients: list[Known] = []
        self.count = 0

    async def load(self) -> None:
        async with self.world.client() as http:
            while True:
                self.world.at_an_address(http)  # as many addresses as it takes
                self.count += 1
                body = {
                    "client_name": f"Client {self.count}",
                    "redirect_uris": [CALLBACK],
                    "token_endpoint_auth_method": "client_secret_basic",
                }
                reply = await self.ask(http.post("/oauth/register", json=body), "client.registered")
                if reply.status_code == 429:  # new clients have a bound, for all together
                    await asyncio.sleep(int(reply.headers["retry-after"]))
                    continue
                self.fact(reply.status_code == 201, f"refused: {reply.text}")
                known = Known(reply.json(), self.world.application(reply.json()))
                self.clients.append(known)
                if self.random.random() < 0.4:
                    await self.update(http, known)
                if self.random.random() < 0.4:
                    await self.delete(http, known)

    async def update(self, http: httpx2.AsyncClient, known: Known) -> None:
        left_out = ("registration_access_token", "registration_client_uri", "client_secret_expires_at")
        body = {k: v for k, v in known.registered.items() if k not in (*left_out, "client_id_issued_at")}
        known.pending = "update"
        sent = http.put(*self.managed(known), json=body | {"client_name": "Changed"}, headers=self.own(known))
        reply = await self.ask(sent, "client.updated")
        self.fact(reply.status_code == 200, f"the update was refused: {reply.text}")
        known.registered, known.pending = {**known.registered, **reply.json()}, ""

    async def delete(self, http: httpx2.AsyncClient, known: Known) -> None:
        known.pending = "delete"
        reply = await self.ask(http.delete(*self.managed(known), headers=self.own(known)), "client.deleted")
        self.fact(reply.status_code == 204, f"the deletion was refused: {reply.text}")
        known.deleted, known.pending = True, ""

    def managed(self, known: Known) -> tuple[str]:
        return (known.registered["registration_client_uri"],)

    def own(self, known: Known) -> dict[str, str]:
        return bearer(known.registered["registration_access_token"])

    async def check(self) -> None:
        async with self.world.client() as http:
            for known in self.clients:
                await self.check_one(http, known)
        old, self.clients = self.clients[:-KEPT], self.clients[-KEPT:]
        for known in old:
            await known.application.close()

    async def check_one(self, http: httpx2.AsyncClient, known: Known) -> None:
        reply = await self.ask(http.get(*self.managed(known), headers=self.own(known)))
        # A client that authenticates is told that the token is unknown; one that is gone, that it is unknown itself.
        asked = await self.ask(known.application.refresh("none"))
        lives = asked.json()["error"] == "invalid_grant"
        managed = reply.status_code == 200
        if known.pending == "delete":
            self.fact(managed == lives, f"half deleted: managed {managed}, authenticates {lives}")
            known.deleted = not lives
        elif known.pending == "update":
            self.fact(lives, "an unanswered update cost the client its secret")
            if not managed:  # it was made, and its new token was lost with the answer
                self.clients.remove(known)
        else:
            self.fact(managed != known.deleted, f"deleted {known.deleted}, managed: {reply.status_code}")
            self.fact(lives != known.deleted, f"deleted {known.deleted}, the secret: {asked.text}")
        if managed:
            self.fact(reply.json()["client_name"] == known.registered["client_name"], "another name")
        known.pending = ""


@dataclass
class Family:
    """The tokens of one grant; `old` is the refresh token before, `pending` what was asked for and not answered."""

    access: str
    refresh: str
    old: str = ""
    revoked: bool = False
    pending: str = ""


class Flow(Actor):
    """A person who connects an application, and the application with its tokens."""

    def __init__(self, world: World, username: str, application: OAuthClient) -> None:
        super().__init__(world)
        self.name = f"{username}'s application"
        self.username, self.application = username, application
        self.browser = world.browser(username, FIRST_PASSWORD)
        self.codes: list[tuple[str, Pkce]] = []
        self.redeeming: tuple[str, Pkce] | None = None
        self.families: list[Family] = []

    async def sign_in(self) -> None:
        """Sign the browser in; its session must outlive every crash."""
        page = await self.ask(self.browser.http.get(ACCOUNT))
        await self.ask(self.browser.submit(page, {"username": self.username, "password": FIRST_PASSWORD}), "login")

    async def load(self) -> None:
        while True:
            pkce = Pkce.new()
            page = await self.ask(self.browser.http.get(self.application.url(pkce, scope="mcp:read")))
            reply = await self.ask(self.browser.consent(page), "consent", with_code)
            code = httpx2.URL(reply.headers["location"]).params["code"]
            if self.random.random() < 0.3:
                self.codes.append((code, pkce))
                continue
            self.redeeming = (code, pkce)
            reply = await self.ask(self.application.redeem(code, pkce), "code.redeemed")
            self.redeeming = None
            self.fact(reply.status_code == 200, f"a code could not be redeemed: {reply.text}")
            family = Family(reply.json()["access_token"], reply.json()["refresh_token"])
            self.families.append(family)
            for _ in range(self.random.randint(0, 3)):
                await self.rotate(family)
            if self.random.random() < 0.4:
                await self.revoke(family)

    async def rotate(self, family: Family) -> None:
        family.pending = "refresh"
        reply = await self.ask(self.application.refresh(family.refresh), "token.refreshed")
        self.fact(reply.status_code == 200, f"a refresh was refused: {reply.text}")
        family.pending, family.old = "", family.refresh
        family.access, family.refresh = reply.json()["access_token"], reply.json()["refresh_token"]

    async def revoke(self, family: Family) -> None:
        family.pending = "revoke"
        form = {"token": family.refresh, "client_id": self.application.client_id}
        reply = await self.ask(self.application.http.post("/oauth/revoke", data=form), "grant.revoked")
        self.fact(reply.status_code == 200, f"a revocation was refused: {reply.text}")
        family.pending, family.revoked = "", True

    async def check(self) -> None:
        for code, pkce in self.codes:
            first = await self.ask(self.application.redeem(code, pkce), "code.redeemed")
            self.fact(first.status_code == 200, f"an acknowledged code is gone: {first.text}")
            await self.spent(code, pkce)
        if self.redeeming is not None:
            code, pkce = self.redeeming
            first = await self.ask(self.application.redeem(code, pkce), "code.redeemed")
            self.fact(first.status_code in (200, 400), f"an unanswered redemption: {first.text}")
            await self.spent(code, pkce)
        self.codes, self.redeeming = [], None
        for family in self.families:
            await self.check_family(family)
        self.families = self.families[-KEPT:]

    async def spent(self, code: str, pkce: Pkce) -> None:
        again = await self.ask(self.application.redeem(code, pkce), "code.redeemed")
        self.fact(again.status_code == 400, "a code was redeemed twice")

    async def check_family(self, family: Family) -> None:
        status = await self.world.opens(self.application.http, family.access)
        if family.pending == "revoke":
            reply = await self.ask(self.application.refresh(family.refresh), "token.refreshed")
            self.fact((status, reply.status_code) in ((200, 200), (401, 400)), f"half revoked: {status} {reply.text}")
            family.revoked = status == 401
        elif family.revoked:
            reply = await self.ask(self.application.refresh(family.refresh), "token.refreshed")
            self.fact((status, reply.status_code) == (401, 400), f"revoked, but {status} {reply.text}")
        else:
            self.fact(status == 200, f"the access token gets {status}")
            if family.old and not family.pending:
                reply = await self.ask(self.application.refresh(family.old), "token.replayed")
                same = reply.status_code == 200 and reply.json()["refresh_token"] == family.refresh
                self.fact(same, f"in its grace window the replaced token brought something else: {reply.text}")
            # A rotation that was not answered may have taken place: then this one repeats it.
            self.world.journal.unknown["token.replayed"] += family.pending == "refresh"
            reply = await self.ask(self.application.refresh(family.refresh), "token.refreshed")
            # Also where a rotation was not answered: the old one works, or would work no more and the new one is lost.
            self.fact(reply.status_code == 200, f"no refresh token works (pending {family.pending!r}): {reply.text}")
        if reply.status_code == 200:
            family.access, family.refresh = reply.json()["access_token"], reply.json()["refresh_token"]
        family.old = family.pending = ""


class Machine(Actor):
    """A client that acts for itself."""

    name = "a client's own token"

    def __init__(self, world: World, application: OAuthClient) -> None:
        super().__init__(world)
        self.application = application
        self.tokens: list[tuple[str, bool | None]] = []  # whether it was revoked; None: not answered

    async def load(self) -> None:
        while True:
            reply = await self.ask(self.application.token(grant_type="client_credentials"), "token.issued")
            self.fact(reply.status_code == 200, f"refused: {reply.text}")
            token = reply.json()["access_token"]
            self.tokens.append((token, False))
            if self.random.random() < 0.5:
                self.tokens[-1] = (token, None)
                auth = (self.application.client_id, self.application.secret or "")
                sent = self.application.http.post("/oauth/revoke", data={"token": token}, auth=auth)
                reply = await self.ask(sent, "token.revoked")
                self.fact(reply.status_code == 200, f"a revocation was refused: {reply.text}")
                self.tokens[-1] = (token, True)

    async def check(self) -> None:
        for token, revoked in self.tokens:
            status = await self.world.opens(self.application.http, token)
            wanted = {True: (401,), False: (200,), None: (200, 401)}[revoked]
            self.fact(status in wanted, f"revoked {revoked}, but it gets {status}")
        self.tokens = [(token, revoked) for token, revoked in self.tokens if revoked is not None][-KEPT:]
