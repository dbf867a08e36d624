"""Every event that docs/audit.md names happens, for what the page says, with the person and the client concerned."""

import json
import re
from base64 import b64encode
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, get_args

import anyio
import pytest

from oauth_server.core.audit import EventName
from oauth_server.core.housekeeping import Housekeeping
from oauth_server.core.key_ring import TEND_SECONDS
from tests.commands.conftest import Shell, shell
from tests.conftest import MakeServer
from tests.support.assertions import operators, posted
from tests.support.authorize import add_user, browser_of, consent_page, registered
from tests.support.browser import Browser
from tests.support.clock import ManualClock, at_once
from tests.support.oauth import DEFAULT_CLIENT, OAuthClient, Pkce
from tests.support.program import ROOT
from tests.support.registration import as_sent, made, managed
from tests.support.server import PASSWORD, Running

__all__ = ["shell"]

PAGE = ROOT / "docs" / "audit.md"
DAY = 86_400
Events = list[dict[str, Any]]


async def log(shell: Shell, **env: str) -> Events:
    """The whole log, oldest first."""
    said = await shell.says("audit", "--limit", "10000", "--json", **env)
    return [json.loads(line) for line in said.splitlines()]


def test_the_page_and_the_code_name_the_same_events() -> None:
    table = PAGE.read_text(encoding="utf-8").partition("## The events")[2]
    names = re.findall(r"^\| `([a-z_.]+)` \|", table, re.MULTILINE)
    assert names == sorted(get_args(EventName))


async def test_every_event_of_the_page_happens(
    make_server: MakeServer, shell: Shell, clock: ManualClock, tmp_path: Path, closing: AsyncExitStack
) -> None:
    async with make_server() as server:
        await _people(server, shell, closing)
        await _grants(server, closing)
        await _clients(server, shell, closing)
        await _operator(shell)
        await _keys(server, shell)
        await Housekeeping(server.services.store, clock, sleep=at_once, audit_days=365).round()
    key = b64encode(bytes(32)).decode()
    async with make_server(MCP_OAUTH_KEY_ENCRYPTION_KEY=key):
        pass
    await shell.says("copy", shell.location, f"sqlite:///{tmp_path}/copy.db")
    await shell.says("backup", str(tmp_path / "backup.db"))
    restored = f"sqlite:///{tmp_path}/restored.db"
    assert (await shell("restore", str(tmp_path / "backup.db"), MCP_OAUTH_DATABASE_URL=restored)).status == 0
    events = await log(shell)
    for url in (f"sqlite:///{tmp_path}/copy.db", restored):
        events += (await log(shell, MCP_OAUTH_DATABASE_URL=url))[-1:]
        assert (await shell("audit", "verify", MCP_OAUTH_DATABASE_URL=url)).status == 0
    assert {event["event"] for event in events} == set(get_args(EventName))
    _check(events)


def _check(events: Events) -> None:
    """Whom the events concern."""
    persons = {"admin", "alice", "bob"}
    assert {event["actor"] for event in events} <= {*persons, ""}
    of_people = (
        "login",
        "logout",
        "consent",
        "authorize",
        "token.refreshed",
        "token.replayed",
        "grant.revoked",
        "password.",
        "sessions.",
    )
    for event in events:
        if event["event"].startswith(of_people):
            assert event["actor"] in persons, event
        if event["event"].startswith(("client.", "consent", "code.", "token.", "grant.", "application.")):
            assert event["client_id"], event
        where = "127.0.0.1" if event["client_id"] and event["event"] != "client.configured" else None
        assert event["address"] in {where, "127.0.0.1", "local"}, event
    failed = {event["event"] for event in events if event["outcome"] == "failure"}
    assert failed == {
        "client.authentication",
        "code.redeemed",
        "consent",
        "login",
        "login.limited",
        "password.confirmed",
        "password.confirmed.limited",
        "token.refreshed",
        "token.replayed",
    }


async def _people(server: Running, shell: Shell, closing: AsyncExitStack) -> None:
    """Signing in and out, confirming and changing a password, ending other sessions, disconnecting an application."""
    await add_user(server)
    guesser = browser_of(closing, server, password="a wrong guess of mine")
    page = await guesser.http.get("/account")
    for _ in range(10):
        page = await guesser.submit(page, {"username": "alice", "password": "a wrong guess of mine"})
    await shell.says("users", "unlock", "alice")
    browser, elsewhere = (browser_of(closing, server, "admin", PASSWORD) for _ in "12")
    app = await registered(closing, server)
    await app.tokens(browser)
    await elsewhere.account()
    page = await browser.account()
    await browser.submit(page, button=("action", "end_sessions"))
    await browser.submit(page, {"client_id": app.client_id}, button=("action", "disconnect"))
    fresh = {"new_password": "a new password of mine", "new_password_again": "a new password of mine"}
    for _ in range(10):
        page = await browser.submit(page, {"password": "wrong", **fresh}, button=("action", "password"))
    server.clock.advance(3600)
    page = await browser.reload(page)
    await browser.submit(page, {"password": PASSWORD, **fresh}, button=("action", "password"))
    await browser.sign_out(page)


async def _grants(server: Running, closing: AsyncExitStack) -> None:
    """Codes and tokens: used, refused, revoked; consent given, remembered, denied."""
    browser = browser_of(closing, server, "admin", "a new password of mine")
    client = OAuthClient(server)
    closing.push_async_callback(client.close)
    pkce = Pkce.new()
    code = await client.code(browser, pkce)
    tokens = (await client.redeem(code, pkce)).json()
    await client.redeem(code, pkce)
    tokens = await client.tokens(browser)
    for _ in range(2 + 64):
        await client.refresh(tokens["refresh_token"])
    server.clock.advance(60)
    await client.refresh(tokens["refresh_token"])
    tokens = await client.tokens(browser)
    for token in (tokens["access_token"], tokens["refresh_token"]):
        await client.http.post("/oauth/revoke", data={"token": token, "client_id": client.client_id})
    page = await consent_page(browser, client.url(Pkce.new()))
    await browser.submit(page, button=("decision", "deny"))
    app = await registered(closing, server, token_endpoint_auth_method="client_secret_basic")
    await app.tokens(browser)
    await app.tokens(browser)
    app.secret = "wrong"
    await app.refresh("whatever")


async def _clients(server: Running, shell: Shell, closing: AsyncExitStack) -> None:
    """A client of its own, one of the operator's, and one by an initial access token."""
    client = OAuthClient(server)
    closing.push_async_callback(client.close)
    registered = await made(client, token_endpoint_auth_method="client_secret_post")
    reply = (await managed(client, registered, "PUT", as_sent(registered, client_name="Another name"))).json()
    assert (await managed(client, registered, "DELETE", token=reply["registration_access_token"])).status_code == 204
    machine = await operators(closing, server, scope="mcp:read")
    assert (await posted(machine, "/oauth/token", grant_type="client_credentials")).status_code == 200
    token = json.loads(await shell.says("initial-access-tokens", "create", "--json"))
    await made(client, token["initial_access_token"])
    token = json.loads(await shell.says("initial-access-tokens", "create", "--uses", "2", "--json"))
    await shell.says("initial-access-tokens", "delete", token["id"])


async def _operator(shell: Shell) -> None:
    await shell.says("users", "add", "bob", "--generate")
    await shell.says("users", "set-scope", "bob", "mcp:read")
    await shell("users", "disable", "bob", "--yes")
    await shell.says("users", "enable", "bob")


async def _keys(server: Running, shell: Shell) -> None:
    """Keys rotated, retired, and ended by their age."""
    rotated = await shell.says("keys", "rotate", "--use", "access")
    await shell("keys", "retire", rotated.split()[0], "--yes")
    await shell.says("keys", "rotate", "--use", "id", "--now")
    await server.services.revoked.refresh()  # the announcement is no news any more on the day when a key ends
    server.clock.advance(3 * DAY)
    with anyio.fail_after(20 * TEND_SECONDS):
        while "key.ended" not in {event["event"] for event in await log(shell)}:  # noqa: ASYNC110 - polled from outside
            await anyio.sleep(0.1)


async def _refused(client: OAuthClient, times: int) -> None:
    for number in range(times):
        reply = await client.http.post(
            "/oauth/token", data={"grant_type": "refresh_token", "client_id": f"no-{number}"}
        )
        assert reply.status_code == 401


async def test_refused_attempts_are_recorded_within_bounds_and_the_rest_as_a_number(
    server: Running, shell: Shell, client: OAuthClient
) -> None:
    await _refused(client, 25)
    of_it = [event for event in await log(shell) if event["event"] == "client.authentication"]
    assert [event["client_id"] for event in of_it] == [f"no-{number}" for number in range(10)]
    assert {(event["outcome"], event["address"], event["detail"]) for event in of_it} == {
        ("failure", "127.0.0.1", "unknown client")
    }
    server.clock.advance(60)
    await _refused(client, 1)
    more, next_one = [event for event in await log(shell) if event["event"] == "client.authentication"][10:]
    assert (more["detail"], more["address"], more["client_id"]) == ("15 more within 60 s", "127.0.0.1", "")
    assert next_one["client_id"] == "no-0"


async def test_many_addresses_get_no_more_recorded_than_the_bound_in_all(
    make_server: MakeServer, shell: Shell, closing: AsyncExitStack
) -> None:
    async with make_server(MCP_OAUTH_TRUSTED_PROXIES="127.0.0.1") as server, server.client() as http:
        for number in range(70):
            headers = {"X-Forwarded-For": f"198.51.100.{number}"}
            data = {"grant_type": "refresh_token", "client_id": f"no-{number}"}
            assert (await http.post("/oauth/token", data=data, headers=headers)).status_code == 401
        server.clock.advance(61)
        await server.services.client_authentication._refusals.tell_if_over()
    events = [event for event in await log(shell) if event["event"] == "client.authentication"]
    assert len(events) == 61
    assert (events[-1]["detail"], events[-1]["address"]) == ("10 more within 61 s", "several")


@pytest.mark.parametrize("secret", ["wrong", "naïve\u202e\x07"])
async def test_what_a_stranger_sends_is_recorded_without_secrets_and_without_control_characters(
    server: Running, shell: Shell, client: OAuthClient, secret: str
) -> None:
    data = {"grant_type": "refresh_token", "client_id": f"no\u202e\n{secret}", "client_secret": "a secret that slipped"}
    assert (await client.http.post("/oauth/token", data=data)).status_code == 401
    event = (await log(shell))[-1]
    assert event["event"] == "client.authentication"
    assert event["client_id"].isprintable()
    assert "slipped" not in json.dumps(event)


async def test_a_wrong_verifier_and_codes_of_others_are_recorded_with_whose_they_are(
    server: Running, shell: Shell, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    other = await registered(closing, server, redirect_uris=["http://localhost:3000/callback"], client_name="Other")
    pkce = Pkce.new()
    code = await client.code(browser, pkce)
    for its, proof in ((other, pkce), (client, Pkce.new()), (client, pkce)):
        assert (await its.redeem(code, proof)).json()["error"] == "invalid_grant"
    events = [event for event in await log(shell) if event["event"] == "code.redeemed"]
    grant = events[0]["detail"].partition("grant ")[2]
    assert [(event["actor"], event["client_id"], event["detail"]) for event in events] == [
        ("admin", other.client_id, f"client; grant {grant}"),
        ("admin", DEFAULT_CLIENT, "verifier; the code has ended"),
        ("", DEFAULT_CLIENT, "unknown; grant unknown"),
    ]
    assert code not in json.dumps(await log(shell))
