"""Housekeeping as clients see it: not at all. Each test runs without it and with it, and expects the same answers."""

from collections.abc import Awaitable, Callable

import pytest

from oauth_server.core.housekeeping import Housekeeping
from tests.support.browser import Browser
from tests.support.clock import at_once
from tests.support.issuers import https_issuer
from tests.support.oauth import OAuthClient, Pkce
from tests.support.outside import assert_error, audited, opens, rows
from tests.support.server import Running

DAY = 86_400
Pass = Callable[[float], Awaitable[None]]


@pytest.fixture(params=[False, True], ids=["without", "with housekeeping"])
def passing(server: Running, request: pytest.FixtureRequest) -> Pass:
    """Lets time pass; the house is kept at the end of it, or not."""
    keeping = Housekeeping(server.services.store, server.clock, sleep=at_once)

    async def passing(seconds: float) -> None:
        server.clock.advance(seconds)
        if request.param:
            await keeping.round()

    return passing


@pytest.mark.requirement("attack-31")
@pytest.mark.parametrize("days", [0.1, 2, 29])
async def test_a_replayed_code_ends_its_grant_as_long_as_that_lives(
    server: Running, browser: Browser, client: OAuthClient, passing: Pass, days: float
) -> None:
    pkce = Pkce.new()
    code = await client.code(browser, pkce)
    tokens = (await client.redeem(code, pkce)).json()
    await passing(days * DAY / 2)
    tokens = (await client.refresh(tokens["refresh_token"])).json()
    await passing(days * DAY / 2)
    again = (await client.refresh(tokens["refresh_token"])).json()
    assert await opens(server, again["access_token"]) == (200, 200)
    assert_error(await client.redeem(code, pkce), 400, "invalid_grant")
    assert await opens(server, again["access_token"]) == (401, 401)
    assert_error(await client.refresh(again["refresh_token"]), 400, "invalid_grant")
    assert [event[:2] for event in audited(server) if event[2] == client.client_id][-2:] == [
        ("code.redeemed", "failure"),
        ("token.refreshed", "failure"),
    ]


@pytest.mark.requirement("attack-44")
async def test_a_refresh_token_replaced_long_ago_still_ends_its_family(
    server: Running, browser: Browser, client: OAuthClient, passing: Pass
) -> None:
    first = tokens = await client.tokens(browser)
    for _ in range(7):  # 175 days of at most 180, each token idle for 25 of at most 30
        await passing(25 * DAY)
        reply = await client.refresh(tokens["refresh_token"])
        assert reply.status_code == 200, reply.text
        tokens = reply.json()
    assert_error(await client.refresh(first["refresh_token"]), 400, "invalid_grant")
    assert await opens(server, tokens["access_token"]) == (401, 401)
    assert_error(await client.refresh(tokens["refresh_token"]), 400, "invalid_grant")
    theirs = [event[:2] for event in audited(server) if event[2] == client.client_id]  # keys are rotated meanwhile
    assert theirs[-3:] == [("token.refreshed", "success"), *[("token.refreshed", "failure")] * 2]


@pytest.mark.requirement("attack-44", "attack-31")
async def test_reuse_ends_the_last_access_token_also_of_a_family_that_got_too_old(
    server: Running, browser: Browser, client: OAuthClient, passing: Pass
) -> None:
    first = tokens = await client.tokens(browser)
    for days in (29, 29, 29, 29, 29, 29, 5.99):
        await passing(days * DAY)
        tokens = (await client.refresh(tokens["refresh_token"])).json()
    await passing(0.02 * DAY)  # the family is 180 days old; its access token is not expired
    assert_error(await client.refresh(tokens["refresh_token"]), 400, "invalid_grant")
    assert await opens(server, tokens["access_token"]) == (200, 200)
    assert_error(await client.refresh(first["refresh_token"]), 400, "invalid_grant")
    assert await opens(server, tokens["access_token"]) == (401, 401)


@pytest.mark.parametrize("end", ["idle", "revoked", "old"])
async def test_what_ended_is_refused_alike_before_and_after_it_left(
    server: Running, browser: Browser, client: OAuthClient, passing: Pass, end: str
) -> None:
    pkce = Pkce.new()
    code = await client.code(browser, pkce)
    tokens = (await client.redeem(code, pkce)).json()
    if end == "revoked":
        await client.http.post("/oauth/revoke", data={"token": tokens["refresh_token"], "client_id": client.client_id})
    await passing({"idle": 32, "revoked": 2, "old": 182}[end] * DAY)
    assert_error(await client.refresh(tokens["refresh_token"]), 400, "invalid_grant")
    assert_error(await client.redeem(code, pkce), 400, "invalid_grant")
    reply = await client.http.post(
        "/oauth/revoke", data={"token": tokens["refresh_token"], "client_id": client.client_id}
    )
    assert reply.status_code == 200
    page = await browser.account()
    assert "Disconnect" not in page.text


@https_issuer
async def test_sign_in_and_consent_work_after_everything_left(
    server: Running, browser: Browser, client: OAuthClient, passing: Pass
) -> None:
    await client.tokens(browser)
    await passing(400 * DAY)
    left = [name for name in ("grants", "refresh_tokens", "codes", "browser_sessions") if not rows(server)[name]]
    assert len(left) in (0, 4)
    tokens = await client.tokens(browser)
    assert await opens(server, tokens["access_token"]) == (200, 200)
