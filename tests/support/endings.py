"""Every way to end what was granted, and how long another process than the one that was told still grants it."""

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Final

from tests.commands.conftest import Shell
from tests.support.browser import Browser
from tests.support.journey import person, refused
from tests.support.oauth import OAuthClient
from tests.support.registration import client_of, made, managed
from tests.support.replicas import Replicas
from tests.support.server import PASSWORD

_numbers = itertools.count()


class Installation:
    """Two replicas, the operator's command line, and a person and a client who are new at each try."""

    def __init__(self, replicas: Replicas, operator: Shell) -> None:
        self.replicas = replicas
        self.operator = operator
        self.stack = AsyncExitStack()
        self.registered: dict[str, Any] = {}
        self.tokens: dict[str, Any] = {}
        self.client: OAuthClient
        self.browser: Browser

    async def connect(self) -> None:
        """A new person connects a new client; all replicas take its token."""
        name = f"person-{next(_numbers)}"
        await self.operator.says("users", "add", name, "--scope", "mcp:read mcp:write", stdin=PASSWORD)
        self.browser = person(self.replicas, name)
        plain = OAuthClient(self.replicas)  # type: ignore[arg-type]
        self.registered = await made(plain, client_name=name, token_endpoint_auth_method="client_secret_post")
        self.client = client_of(self.replicas, self.registered)  # type: ignore[arg-type]
        # What is ended is ended at the first replica.
        self.client.http = self.replicas.at(0)
        for http in (plain.http, self.client.http, self.browser.http):
            self.stack.push_async_callback(http.aclose)
        self.tokens = await self.client.tokens(self.browser)

    async def time(self, end: "Ending") -> float:
        """Connect, end it, and say for how many seconds after the answer a replica still took the token."""
        async with self.stack:
            await self.connect()
            others = [await self.stack.enter_async_context(self.replicas.at(number)) for number in (0, 1)]
            token = self.tokens["access_token"]
            for http in others:
                reply = await http.get("/oauth/test", headers={"Authorization": f"Bearer {token}"})
                assert reply.status_code == 200, reply.text
            await end(self)
            return max(await asyncio.gather(*(refused(http, token) for http in others)))

    async def revoke(self, kind: str) -> None:
        """Revoke a token at the first replica (RFC 7009)."""
        own = {"client_id": self.client.client_id, "client_secret": self.client.secret}
        reply = await self.client.http.post("/oauth/revoke", data={"token": self.tokens[kind], **own})
        assert reply.status_code == 200, reply.text


Ending = Callable[[Installation], Awaitable[object]]


async def _disconnected(at: Installation) -> None:
    async with at.replicas.at(0) as http:
        http.cookies, at.browser.http = at.browser.http.cookies, http
        page = await at.browser.account()
        assert (await at.browser.submit(page, button=("action", "disconnect"))).status_code == 303


async def _deleted(at: Installation) -> None:
    assert (await managed(at.client, at.registered, "DELETE")).status_code == 204


async def _key_retired(at: Installation) -> None:
    listed = [json.loads(line) for line in (await at.operator.says("keys", "list", "--json")).splitlines()]
    (signing,) = [key["kid"] for key in listed if (key["use"], key["state"]) == ("access", "signing")]
    await at.operator.says("keys", "rotate", "--use", "access", "--now")
    await at.operator.says("keys", "retire", signing, "--yes")


ENDINGS: Final[dict[str, Ending]] = {
    "an access token is revoked": lambda at: at.revoke("access_token"),
    "a refresh token is revoked": lambda at: at.revoke("refresh_token"),
    "a person disconnects an application": _disconnected,
    "a client deletes its registration": _deleted,
    "the operator deletes a client": lambda at: at.operator.says("clients", "delete", at.client.client_id, "--yes"),
    "the operator disables a user": lambda at: at.operator("users", "disable", at.browser.username, "--yes"),
    "the operator lowers a ceiling": lambda at: at.operator("users", "set-scope", at.browser.username, "mcp:read"),
    "the operator retires a signing key": _key_retired,
}
