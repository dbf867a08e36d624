"""Commands on the store of a running server, which takes every change in within a poll."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import anyio
import httpx2
import pytest

from tests.commands.conftest import Shell
from tests.support.authorize import registered
from tests.support.browser import Browser, asks_to_sign_in, form_of
from tests.support.issuers import both_issuers
from tests.support.mcp_http import ask, challenge_of
from tests.support.oauth import OAuthClient, Pkce
from tests.support.server import PASSWORD, Running

NEW_PASSWORD = "quite another good password"


@pytest.fixture
async def http(server: Running) -> AsyncIterator[httpx2.AsyncClient]:
    async with server.client() as found:
        yield found


async def alive(http: httpx2.AsyncClient, token: str) -> bool:
    """Whether the gate lets a token in."""
    return (await ask(http, "modern", "tools/list", token=token)).status_code == 200


async def dies_within_one_poll(http: httpx2.AsyncClient, token: str) -> None:
    """The gate answers 401 at most half a second later; the rest is for a busy machine."""
    began = time.monotonic()
    with anyio.fail_after(5):
        while await alive(http, token):  # noqa: ASYNC110 - polled from outside
            await anyio.sleep(0.02)
    assert time.monotonic() - began < 1.5
    reply = await ask(http, "modern", "tools/list", token=token)
    assert (reply.status_code, challenge_of(reply)["error"]) == (401, "invalid_token")


async def refusal(client: OAuthClient, refresh_token: str) -> str:
    """The error that a refresh token brings."""
    reply = await client.refresh(refresh_token)
    assert reply.status_code in {400, 401}, reply.text
    return str(reply.json()["error"])


async def is_signed_in(browser: Browser, account: httpx2.Response) -> bool:
    """Whether the session of this account page goes on; if not, the browser is asked for a password."""
    page = await browser.reload(account)
    signed_in = "You are signed in as" in page.text
    assert asks_to_sign_in(page) is not signed_in, page.text
    return signed_in


async def can_sign_in(browser: Browser, client: OAuthClient) -> bool:
    """Whether the person's credentials open a new session."""
    page = await browser.http.get(client.url(Pkce.new()))
    reply = await browser.submit(page, {"username": browser.username, "password": browser.password})
    return reply.status_code == 303


@pytest.mark.requirement("attack-64")
@both_issuers
async def test_a_disabled_user_is_out_at_once_and_what_ended_stays_ended(
    server: Running, shell: Shell, browser: Browser, client: OAuthClient, http: httpx2.AsyncClient
) -> None:
    account = await browser.account()
    first = await client.tokens(browser, scope="mcp:read")
    second = await client.tokens(browser, scope="mcp:write")
    pkce = Pkce.new()
    code = await client.code(browser, pkce, scope="mcp:read")
    assert await alive(http, first["access_token"])
    assert await is_signed_in(browser, account)
    said = (await shell("users", "disable", "admin", "--yes")).out
    assert said == "admin is disabled. Ended 1 browser session and 2 grants, with all tokens.\n"
    await dies_within_one_poll(http, first["access_token"])
    assert not await alive(http, second["access_token"])
    assert await refusal(client, first["refresh_token"]) == "invalid_grant"
    assert not await is_signed_in(browser, account)
    assert not await can_sign_in(browser, client)
    await shell.says("users", "enable", "admin")
    assert await refusal(client, second["refresh_token"]) == "invalid_grant"
    assert (await client.redeem(code, pkce)).json()["error"] == "invalid_grant"
    assert not await alive(http, first["access_token"])
    assert not await is_signed_in(browser, account)
    assert await can_sign_in(browser, client)
    server.clock.advance(60)  # a token of the very second of the revocation counts as older
    third = await client.tokens(browser, scope="mcp:read")
    assert await alive(http, third["access_token"])


@pytest.mark.requirement("attack-64")
async def test_a_lowered_ceiling_ends_what_exceeds_it_and_a_refresh_brings_the_rest(
    server: Running, shell: Shell, browser: Browser, client: OAuthClient, http: httpx2.AsyncClient
) -> None:
    writer = await client.tokens(browser, scope="mcp:read mcp:write")
    reader = await client.tokens(browser, scope="mcp:read")
    ended = await shell("users", "set-scope", "admin", "mcp:read")
    assert ended.out == (
        "admin may be granted mcp:read (was: mcp:read mcp:write mcp:admin).\n"
        f"Ended the access tokens with more than that of: {client.client_id}.\n"
    )
    await dies_within_one_poll(http, writer["access_token"])
    assert await alive(http, reader["access_token"])
    server.clock.advance(60)
    fresh = (await client.refresh(writer["refresh_token"])).json()
    assert fresh["scope"] == "mcp:read"
    assert await alive(http, fresh["access_token"])


@pytest.mark.requirement("attack-64")
async def test_a_ceiling_of_admin_alone_is_lowered_with_all_that_it_included(
    server: Running, shell: Shell, browser: Browser, client: OAuthClient, http: httpx2.AsyncClient
) -> None:
    await shell.says("users", "set-scope", "admin", "mcp:admin")
    writer = await client.tokens(browser, scope="mcp:write")
    assert f"of: {client.client_id}." in (await shell("users", "set-scope", "admin", "mcp:read")).out
    await dies_within_one_poll(http, writer["access_token"])


@pytest.mark.requirement("attack-64")
async def test_a_deleted_client_ends_with_everything_issued_to_it(
    server: Running, shell: Shell, browser: Browser, closing: AsyncExitStack, http: httpx2.AsyncClient
) -> None:
    client = await registered(closing, server)
    tokens = await client.tokens(browser)
    shown = await shell.says("clients", "show", client.client_id, "--json")
    assert '"live_grants": 1' in shown
    said = await shell.says("clients", "delete", client.client_id, "--yes")
    assert said == f'{client.client_id} (unverified "Test client") is deleted. Ended 1 grant, with all tokens.\n'
    await dies_within_one_poll(http, tokens["access_token"])
    assert await refusal(client, tokens["refresh_token"]) == "invalid_client"
    page = await browser.http.get(client.url(Pkce.new()))
    assert page.status_code == 400


@both_issuers
async def test_a_set_password_ends_browser_sessions_and_leaves_applications_connected(
    server: Running, shell: Shell, browser: Browser, client: OAuthClient, http: httpx2.AsyncClient
) -> None:
    account = await browser.account()
    tokens = await client.tokens(browser)
    assert await is_signed_in(browser, account)
    said = await shell.says("users", "set-password", "admin", stdin=NEW_PASSWORD)
    assert said == "admin has a new password. Ended 1 browser session.\n"
    assert await alive(http, tokens["access_token"])
    assert not await is_signed_in(browser, account)
    assert not await can_sign_in(browser, client)
    browser.password = NEW_PASSWORD
    assert await can_sign_in(browser, client)


async def test_a_generated_password_opens_the_form_for_a_new_one(
    server: Running, shell: Shell, browser: Browser, client: OAuthClient
) -> None:
    browser.username = "bob"
    said = await shell.says("users", "add", "bob", "--generate")
    browser.password = said.partition("Password: ")[2].split()[0]
    page = await browser.sign_in(await browser.http.get(client.url(Pkce.new())))
    assert "new_password" in form_of(page.text).inputs


async def test_a_user_added_beside_the_server_is_granted_what_the_ceiling_allows(
    server: Running, shell: Shell, browser: Browser, client: OAuthClient, http: httpx2.AsyncClient
) -> None:
    await shell.says("users", "add", "bob", "--scope", "mcp:read", stdin=PASSWORD)
    browser.username = "bob"
    tokens = await client.tokens(browser, scope="mcp:read mcp:write")
    assert tokens["scope"] == "mcp:read"
    assert await alive(http, tokens["access_token"])


async def test_a_client_added_beside_the_server_authenticates_with_its_secret(
    server: Running, shell: Shell, browser: Browser, closing: AsyncExitStack
) -> None:
    ended = await shell(
        *("clients", "add", "--redirect-uri", "http://localhost:3000/callback"),
        *("--auth-method", "client_secret_post", "--json"),
    )
    answer = httpx2.Response(200, text=ended.out).json()
    client = OAuthClient(server, answer["client_id"], secret=answer["client_secret"], method="client_secret_post")
    closing.push_async_callback(client.close)
    assert (await client.tokens(browser))["token_type"] == "Bearer"
    client.secret = "a wrong one"
    pkce = Pkce.new()
    assert (await client.redeem(await client.code(browser, pkce), pkce)).status_code == 401


async def test_commands_change_neither_the_recorded_issuer_nor_the_owner(server: Running, shell: Shell) -> None:
    said = await shell.says("users", "list", MCP_OAUTH_ISSUER="https://other.example", MCP_OAUTH_ADMIN_USERNAME="root")
    assert [line.split()[0] for line in said.splitlines()] == ["NAME", "admin"]
    shown = await shell.says("config")
    assert f"MCP_OAUTH_ISSUER {server.url} recorded by the server" in [
        " ".join(row.split()) for row in shown.splitlines()
    ]


@pytest.mark.requirement("attack-26")
async def test_unlocking_lets_a_user_sign_in_at_once_whom_somebody_elses_guesses_kept_out(
    server: Running, shell: Shell, browser: Browser, client: OAuthClient
) -> None:
    said = "admin can sign in: nothing is counted against them.\n"
    assert await shell.says("users", "unlock", "admin") == said
    guesser = Browser(server.url, password="a wrong password")
    for _ in range(11):
        assert not await can_sign_in(guesser, client)
    await guesser.close()
    assert not await can_sign_in(browser, client)
    said = "admin can sign in at once: the failed attempts are forgotten.\n"
    assert await shell.says("users", "unlock", "Admin") == said
    assert await can_sign_in(browser, client)
    found = [
        json.loads(line) for line in (await shell.says("audit", "--event", "user.unlocked", "--json")).splitlines()
    ]
    assert [(event["actor"], event["address"], event["outcome"]) for event in found] == [("admin", "local", "success")]
    assert (await shell("users", "unlock", "nobody")).status == 1
    await shell("users", "disable", "admin", "--yes")
    ended = await shell("users", "unlock", "admin")
    assert (ended.status, ended.out, ended.err) == (
        0,
        "",
        "admin is disabled: `users enable admin` lets them sign in.\n",
    )
