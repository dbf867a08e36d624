"""People: they sign in, change their password, consent and disconnect; an operator disables and enables one."""

import asyncio
import time

import httpx2

from oauth_server.core.administration import Administration
from oauth_server.store.errors import StoreUnavailableError
from tests.support.browser import forms_of
from tests.support.crashes.journal import Actor, LostError, World, with_code
from tests.support.oauth import OAuthClient, Pkce

ACCOUNT = "/account"
FIRST_PASSWORD = "a password to begin with"


async def signs_in(world: World, username: str, password: str) -> bool:
    """Whether these credentials sign a new browser in."""
    browser = world.browser(username, password)
    try:
        page = await world.journal.ask(browser.http.get(ACCOUNT))
        sent = browser.submit(page, {"username": username, "password": password})
        reply = await world.journal.ask(sent, "login")
        return reply.status_code == 303
    finally:
        await browser.close()


class Password(Actor):
    """Changes the password again and again."""

    def __init__(self, world: World, username: str) -> None:
        super().__init__(world)
        self.name = f"{username}'s password"
        self.username = username
        self.present, self.before = FIRST_PASSWORD, ""
        self.wanted: str | None = None  # asked for, and not answered
        self.count = 0

    async def load(self) -> None:
        browser = self.world.browser(self.username, self.present)
        try:
            page = await self.ask(browser.http.get(ACCOUNT))
            sent = browser.submit(page, {"username": self.username, "password": self.present})
            account = (await self.ask(sent, "login")).headers["location"]
            while True:
                self.count += 1
                self.wanted = f"password number {self.count}"
                page = await self.ask(browser.reload(page, account))
                fields = {"password": self.present, "new_password": self.wanted, "new_password_again": self.wanted}
                sent = browser.submit(page, fields, button=("action", "password"))
                reply = await self.ask(sent, "password.changed")
                self.fact(reply.status_code == 303, f"it could not be changed: {reply.status_code}")
                self.before, self.present, self.wanted = self.present, self.wanted, None
        finally:
            await browser.close()

    async def check(self) -> None:
        if self.wanted is not None:
            old = await signs_in(self.world, self.username, self.present)
            new = await signs_in(self.world, self.username, self.wanted)
            self.fact(old != new, f"of the old and the unanswered password {old + new} work")
            if new:
                self.before, self.present = self.present, self.wanted
            self.wanted = None
        else:
            if self.before:
                self.fact(not await signs_in(self.world, self.username, self.before), "the replaced one works")
            self.fact(await signs_in(self.world, self.username, self.present), "the acknowledged one does not work")


class Consents(Actor):
    """Consents to an application that it remembers, and disconnects it."""

    def __init__(self, world: World, username: str, application: OAuthClient) -> None:
        super().__init__(world)
        self.name = f"{username}'s consent"
        self.username, self.application = username, application
        self.browser = world.browser(username, FIRST_PASSWORD)
        self.remembered: bool | None = False  # None: asked for a change, and not answered
        self.tokens: dict[str, str] | None = None
        self.alive = False

    async def sign_in(self) -> None:
        """Sign the browser in; its session must outlive every crash."""
        page = await self.ask(self.browser.http.get(ACCOUNT))
        await self.ask(self.browser.submit(page, {"username": self.username, "password": FIRST_PASSWORD}), "login")

    async def silent(self, pkce: Pkce) -> httpx2.Response:
        """An authorization request that may not ask: it brings a code where a consent is remembered."""
        url = self.application.url(pkce, prompt="none", scope="mcp:read")
        return await self.ask(self.browser.http.get(url), "authorize", with_code)

    async def load(self) -> None:
        while True:
            await self.consent()
            if self.random.random() < 0.5:
                pkce = Pkce.new()
                reply = await self.silent(pkce)
                self.fact(with_code(reply), "it was not remembered")
            await self.disconnect()

    async def consent(self) -> None:
        pkce = Pkce.new()
        page = await self.ask(self.browser.http.get(self.application.url(pkce, prompt="consent", scope="mcp:read")))
        self.remembered, self.tokens = None, None
        sent = self.browser.consent(page)
        reply = await self.ask(sent, "consent", with_code)
        self.remembered = True
        code = httpx2.URL(reply.headers["location"]).params["code"]
        found = await self.ask(self.application.redeem(code, pkce), "code.redeemed")
        self.fact(found.status_code == 200, f"the code could not be redeemed: {found.text}")
        self.tokens, self.alive = found.json(), True

    async def disconnect(self) -> None:
        page = await self.ask(self.browser.http.get(ACCOUNT))
        (form,) = (f for f in forms_of(page.text) if f.fields.get("client_id") == self.application.client_id)
        self.remembered = None
        data = {**form.fields, "action": "disconnect"}
        headers = {"Origin": self.world.url, "Sec-Fetch-Site": "same-origin"}
        sent = self.browser.http.post(ACCOUNT, data=data, headers=headers)
        reply = await self.ask(sent, "application.disconnected")
        self.fact(reply.status_code == 303, f"it could not be withdrawn: {reply.status_code}")
        self.remembered = self.alive = False

    async def check(self) -> None:
        reply = await self.silent(Pkce.new())
        self.fact("login_required" not in reply.headers["location"], "the session is gone")
        found = with_code(reply)
        if self.remembered is None:
            self.remembered = found
            self.alive = found and self.tokens is not None
        self.fact(found == self.remembered, "remembered, but withdrawn" if found else "withdrawn, but acknowledged")
        if self.tokens is not None:
            status = await self.world.opens(self.application.http, self.tokens["access_token"])
            self.fact(status == (200 if self.alive else 401), f"alive {self.alive}, but the access token gets {status}")


class Disabled(Actor):
    """Is disabled by the operator, from another process, and enabled again."""

    def __init__(self, world: World, username: str, application: OAuthClient, operator: Administration) -> None:
        super().__init__(world)
        self.name = f"{username}, disabled"
        self.username, self.application, self.operator = username, application, operator
        self.disabled: bool | None = False
        self.tokens: dict[str, str] | None = None

    async def load(self) -> None:
        browser = self.world.browser(self.username, FIRST_PASSWORD)
        try:
            pkce = Pkce.new()
            page = await self.ask(browser.http.get(self.application.url(pkce, scope="mcp:read")))
            sent = browser.submit(page, {"username": self.username, "password": FIRST_PASSWORD})
            reply = await self.ask(sent, "login")
            page = await self.ask(browser.http.get(reply.headers["location"]))
            reply = await self.ask(browser.consent(page), "consent", with_code)
            code = httpx2.URL(reply.headers["location"]).params["code"]
            found = await self.ask(self.application.redeem(code, pkce), "code.redeemed")
            self.tokens = found.json()
            await self.decide("user.disabled")
        finally:
            await browser.close()

    async def decide(self, event: str) -> None:
        """What the operator does; its answer counts as any other."""
        try:
            user = await self.operator.users.by_username(self.username)
        except StoreUnavailableError as error:
            raise LostError from error
        assert user is not None
        journal, self.disabled = self.world.journal, None
        journal.unknown[event] += 1
        try:
            await (self.operator.disable(user) if event == "user.disabled" else self.operator.enable(user))
        except StoreUnavailableError as error:
            raise LostError from error
        journal.unknown[event] -= 1
        journal.acknowledged[event] += 1
        self.disabled = event == "user.disabled"

    async def check(self) -> None:
        signed_in = await signs_in(self.world, self.username, FIRST_PASSWORD)
        if self.disabled is None:
            self.disabled = not signed_in
        self.fact(signed_in != self.disabled, f"disabled {self.disabled}, but sign-in {signed_in}")
        if self.tokens is not None:
            http = self.application.http
            status = await self.world.opens(http, self.tokens["access_token"])
            self.fact(status == (401 if self.disabled else 200), f"disabled {self.disabled}, the token gets {status}")
            reply = await self.ask(self.application.refresh(self.tokens["refresh_token"]), "token.refreshed")
            self.fact(reply.status_code == (400 if self.disabled else 200), f"disabled {self.disabled}: {reply.text}")
        self.tokens = None
        if self.disabled:
            await self.decide("user.enabled")
            # Tokens tell whole seconds: one of the second of the enabling may be of before, and is refused.
            await asyncio.sleep(1 - time.time() % 1)
