"""The secret behind forms and known browsers: sealed, succeeded, and accepted for what it signed."""

import json
import sqlite3
import time
from base64 import b64encode
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest

from oauth_server.core.form_secrets import PUBLISHED_BEFORE, FormSecrets
from oauth_server.core.settings import load
from oauth_server.store.store import Store
from oauth_server.store.verbs import form_secrets as verbs
from tests.commands.conftest import Shell, shell
from tests.conftest import MakeServer
from tests.support.authorize import browser_of
from tests.support.clock import ManualClock
from tests.support.issuers import https_issuer
from tests.support.oauth import OAuthClient, Pkce
from tests.support.server import OWNER, PASSWORD, Running

__all__ = ["shell"]

KEY, OTHER = (b64encode(bytes([n]) * 32).decode() for n in (1, 2))
NAME = "MCP_OAUTH_KEY_ENCRYPTION_KEY"
DAY = 86_400
EARLIER = "the plain secret of an earlier release"


def kept(database: Path) -> dict[str, str]:
    """The secrets as the database has them."""
    with closing(sqlite3.connect(database)) as opened:
        return dict(opened.execute("SELECT secret_id, secret FROM form_secrets").fetchall())


def secrets(store: Store, clock: ManualClock, **env: str) -> FormSecrets:
    return FormSecrets(store, load(env), clock)


@pytest.mark.requirement("attack-73")
async def test_the_secret_of_forms_is_sealed_like_the_signing_keys(make_server: MakeServer) -> None:
    async with make_server() as server:
        plain = kept(server.database)
    assert plain
    async with make_server(**{NAME: KEY}) as server:
        sealed = kept(server.database)
        data = b"".join(path.read_bytes() for path in server.database.parent.glob("oauth.db*"))
    assert sealed.keys() == plain.keys()
    assert all(text.startswith("aes-256-gcm:") for text in sealed.values())
    async with make_server(**{NAME: f"{OTHER} {KEY}"}) as server:
        anew = kept(server.database)
    assert anew.keys() == plain.keys()
    assert not set(anew.values()) & set(sealed.values())
    assert data


async def test_a_form_that_is_open_while_the_secret_is_succeeded_still_works(
    server: Running, shell: Shell, closing: AsyncExitStack
) -> None:
    browser = browser_of(closing, server, OWNER, PASSWORD)
    url = OAuthClient(server).url(Pkce.new(), prompt="login")
    page = await browser.http.get(url)
    server.clock.now, before = time.time(), server.services.sessions._secrets.signing
    said = (await shell.says("keys", "rotate", "--now")).splitlines()
    assert " signs forms from " in said[-1]
    server.clock.advance(PUBLISHED_BEFORE + 1)
    await server.services.revoked.refresh()
    assert server.services.sessions._secrets.signing != before
    assert (await browser.http.get(url)).status_code == 200
    signed_in = await browser.submit(page, {"username": OWNER, "password": PASSWORD})
    assert signed_in.status_code == 303


@https_issuer
async def test_a_known_browser_is_known_after_its_secret_was_succeeded(
    server: Running, clock: ManualClock, closing: AsyncExitStack
) -> None:
    browser = browser_of(closing, server, OWNER, PASSWORD)
    await browser.sign_in(await browser.http.get(OAuthClient(server).url(Pkce.new())))
    (cookie,) = [one.value for one in browser.http.cookies.jar if one.name == "__Host-mcp_browser"]
    logins, store = server.services.logins, server.services.store
    assert logins._browsers.claim(cookie, OWNER) is not None
    await secrets(store, clock).rotate()
    clock.advance(PUBLISHED_BEFORE)
    await server.services.revoked.refresh()
    assert logins._browsers.claim(cookie, OWNER) is not None


async def test_what_happens_to_the_secret_is_recorded_and_holds_nothing_of_it(server: Running, shell: Shell) -> None:
    await shell.says("keys", "rotate")
    events = [json.loads(line) for line in (await shell.says("audit", "--json")).splitlines()]
    ids = [entry.secret_id for entry in await server.services.store.read(verbs.listed)]
    told = [(e["event"], e["detail"]) for e in events if e["detail"].partition(" for forms")[1]]
    assert told == [("key.created", f"{ids[1]} for forms"), ("key.rotated", f"{ids[0]} for forms, in 10 s")]
    again = await shell("keys", "rotate")
    assert again.status == 1
    assert f"{ids[0]} already waits to sign forms from " in again.out
