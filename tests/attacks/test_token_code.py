"""A code is good once, for sixty seconds, in the hands of the client that asked for it (RFC 6749 section 4.1)."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.support.browser import Browser
from tests.support.databases import both_engines
from tests.support.oauth import OAuthClient, Pkce
from tests.support.outside import assert_error, logged, opens, registered, rows
from tests.support.server import Running

pytestmark = both_engines

OTHER_CALLBACK = "http://localhost:3000/other"


@pytest.mark.requirement("attack-31")
async def test_a_replay_after_five_seconds_ends_everything_the_code_gave(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    pkce = Pkce.new()
    code = await client.code(browser, pkce)
    tokens = (await client.redeem(code, pkce)).json()
    later = (await client.refresh(tokens["refresh_token"])).json()
    assert await opens(server, tokens["access_token"]) == (200, 200)
    server.clock.advance(6)
    assert_error(await client.redeem(code, pkce), 400, "invalid_grant")
    assert await opens(server, tokens["access_token"]) == (401, 401)
    assert await opens(server, later["access_token"]) == (401, 401)
    assert_error(await client.refresh(later["refresh_token"]), 400, "invalid_grant")
    actor, client_id, _, detail = logged(server, "code.redeemed")[-1]
    assert (actor, client_id) == ("admin", client.client_id)
    assert detail.startswith("replayed; grant ")
    assert detail.endswith(" revoked")


@pytest.mark.requirement("attack-31")
async def test_a_replay_of_an_expired_code_still_ends_the_grant(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    pkce = Pkce.new()
    code = await client.code(browser, pkce)
    tokens = (await client.redeem(code, pkce)).json()
    server.clock.advance(600)
    assert_error(await client.redeem(code, pkce), 400, "invalid_grant")
    assert await opens(server, tokens["access_token"]) == (401, 401)
    assert_error(await client.refresh(tokens["refresh_token"]), 400, "invalid_grant")


@pytest.mark.parametrize("seconds", [0, 5])
@pytest.mark.requirement("attack-31")
async def test_a_replay_within_five_seconds_is_only_refused(
    server: Running, browser: Browser, client: OAuthClient, seconds: int
) -> None:
    pkce = Pkce.new()
    code = await client.code(browser, pkce)
    tokens = (await client.redeem(code, pkce)).json()
    server.clock.advance(seconds)
    before = rows(server)
    assert_error(await client.redeem(code, pkce), 400, "invalid_grant")
    assert rows(server) == before
    assert await opens(server, tokens["access_token"]) == (200, 200)
    assert (await client.refresh(tokens["refresh_token"])).status_code == 200


@pytest.mark.parametrize("wrong", ["client", "redirect_uri", "verifier"])
@pytest.mark.requirement("attack-31", "attack-33")
async def test_a_late_replay_that_fails_an_earlier_check_cannot_end_the_grant(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack, wrong: str
) -> None:
    thief = await registered(closing, server)
    pkce = Pkce.new()
    code = await client.code(browser, pkce)
    tokens = (await client.redeem(code, pkce)).json()
    server.clock.advance(30)
    before = rows(server)
    if wrong == "client":
        reply = await thief.redeem(code, pkce)
    elif wrong == "redirect_uri":
        reply = await client.redeem(code, pkce, redirect_uri=OTHER_CALLBACK)
    else:
        reply = await client.redeem(code, Pkce.new())
    assert_error(reply, 400, "invalid_grant")
    assert rows(server) == before
    assert await opens(server, tokens["access_token"]) == (200, 200)
    assert (await client.refresh(tokens["refresh_token"])).status_code == 200


@pytest.mark.requirement("attack-32")
async def test_of_32_parallel_redemptions_one_wins_and_keeps_its_tokens(
    server: Running, browser: Browser, client: OAuthClient
) -> None:
    pkce = Pkce.new()
    code = await client.code(browser, pkce)
    replies = await asyncio.gather(*(client.redeem(code, pkce) for _ in range(32)))
    won = [reply for reply in replies if reply.status_code == 200]
    assert len(won) == 1
    for reply in replies:
        if reply is not won[0]:
            assert_error(reply, 400, "invalid_grant")
    assert len(rows(server)["grants"]) == len(rows(server)["refresh_tokens"]) == 1
    tokens = won[0].json()
    assert await opens(server, tokens["access_token"]) == (200, 200)
    assert (await client.refresh(tokens["refresh_token"])).status_code == 200


@pytest.mark.requirement("attack-33", "regression-3")
async def test_a_code_is_of_no_use_to_another_client_and_stays_good_for_its_own(
    server: Running, browser: Browser, client: OAuthClient, closing: AsyncExitStack
) -> None:
    thief = await registered(closing, server)
    armed = await registered(closing, server, token_endpoint_auth_method="client_secret_basic")
    pkce = Pkce.new()
    code = await client.code(browser, pkce)
    before = rows(server)
    for other in (thief, armed):
        assert_error(await other.redeem(code, pkce), 400, "invalid_grant")
        assert_error(await other.redeem(code, Pkce.new()), 400, "invalid_grant")
    assert rows(server) == before
    assert (await client.redeem(code, pkce)).status_code == 200


@pytest.mark.parametrize(
    "redirect_uri",
    [
        OTHER_CALLBACK,
        "http://localhost:3001/callback",  # registered, but not the one the code was sent to
        "http://127.0.0.1:3000/callback",
        "http://localhost:3000/callback/",
        "http://LOCALHOST:3000/callback",
        "https://evil.example/callback",
    ],
)
@pytest.mark.requirement("attack-34", "regression-3")
async def test_a_code_is_bound_to_its_redirect_uri_and_a_wrong_one_leaves_it_alive(
    server: Running, browser: Browser, client: OAuthClient, redirect_uri: str
) -> None:
    pkce = Pkce.new()
    code = await client.code(browser, pkce)
    before = rows(server)
    assert_error(await client.redeem(code, pkce, redirect_uri=redirect_uri), 400, "invalid_grant")
    # With a wrong verifier too: the redirect URI is judged first.
    assert_error(await client.redeem(code, Pkce.new(), redirect_uri=redirect_uri), 400, "invalid_grant")
    assert rows(server) == before
    assert (await client.redeem(code, pkce)).status_code == 200


@pytest.mark.requirement("attack-34", "AS-36")
async def test_a_wrong_verifier_burns_the_code(server: Running, browser: Browser, client: OAuthClient) -> None:
    pkce = Pkce.new()
    code = await client.code(browser, pkce)
    assert_error(await client.redeem(code, Pkce.new()), 400, "invalid_grant")
    assert_error(await client.redeem(code, pkce), 400, "invalid_grant")
    assert rows(server)["grants"] == []


@pytest.mark.requirement("attack-34", "AS-36")
async def test_the_challenge_itself_is_no_verifier(browser: Browser, client: OAuthClient) -> None:
    pkce = Pkce.new()
    code = await client.code(browser, pkce)
    assert_error(await client.redeem(code, pkce, code_verifier=pkce.challenge), 400, "invalid_grant")


@pytest.mark.requirement("attack-34")
async def test_a_wrong_secret_leaves_the_code_alive(server: Running, browser: Browser, closing: AsyncExitStack) -> None:
    client = await registered(closing, server, token_endpoint_auth_method="client_secret_post")
    pkce = Pkce.new()
    code = await client.code(browser, pkce)
    before = rows(server)
    assert_error(await client.redeem(code, pkce, client_secret="wrong"), 401, "invalid_client")
    assert_error(await client.redeem(code, Pkce.new(), client_secret="wrong"), 401, "invalid_client")
    assert rows(server) == before
    assert (await client.redeem(code, pkce)).status_code == 200


@pytest.mark.parametrize("missing", ["code", "code_verifier"])
@pytest.mark.requirement("attack-34", "AS-36")
async def test_a_redemption_without_code_or_verifier_changes_nothing(
    server: Running, browser: Browser, client: OAuthClient, missing: str
) -> None:
    pkce = Pkce.new()
    code = await client.code(browser, pkce)
    before = rows(server)
    for value in (None, ""):
        assert_error(await client.redeem(**{"code": code, "pkce": pkce, missing: value}), 400, "invalid_request")
    assert rows(server) == before
    assert (await client.redeem(code, pkce)).status_code == 200


@pytest.mark.requirement("attack-35")
@pytest.mark.parametrize(("seconds", "status"), [(59, 200), (60, 400), (61, 400)])
async def test_a_code_lives_for_sixty_seconds(
    server: Running, browser: Browser, client: OAuthClient, seconds: int, status: int
) -> None:
    pkce = Pkce.new()
    code = await client.code(browser, pkce)
    server.clock.advance(seconds)
    reply = await client.redeem(code, pkce)
    assert reply.status_code == status, reply.text
    if status == 400:
        assert_error(reply, 400, "invalid_grant")
        assert rows(server)["grants"] == []


@pytest.mark.requirement("attack-31", "attack-44")
async def test_a_code_nobody_was_given_is_an_invalid_grant(server: Running, client: OAuthClient) -> None:
    before = rows(server)
    assert_error(await client.redeem("never-issued", Pkce.new()), 400, "invalid_grant")
    assert_error(await client.refresh("never-issued"), 400, "invalid_grant")
    assert rows(server) == before
