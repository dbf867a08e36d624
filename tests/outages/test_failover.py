"""A failover that lost commits: what was revoked stays revoked in every process that knew of it."""

import logging

import anyio
import pytest

from tests.support.browser import Browser
from tests.support.databases import both_engines, sql
from tests.support.oauth import OAuthClient
from tests.support.outside import assert_error, opens
from tests.support.people import owner_of, set_ceiling, set_disabled
from tests.support.server import Running

pytestmark = both_engines


async def fail_over(server: Running, caplog: pytest.LogCaptureFixture) -> None:
    """Take the last revocations out of the database, as one that lost the last commits; wait until that is noticed."""
    with caplog.at_level(logging.WARNING, logger="oauth_server.core.revocation"):
        sql(server.location, "DELETE FROM revocations")
        sql(server.location, "UPDATE grants SET revoked_at = NULL")
        sql(server.location, "UPDATE epoch SET value = 0")
        with anyio.fail_after(5):
            while "read anew" not in caplog.text:  # noqa: ASYNC110 - another task writes it
                await anyio.sleep(0.05)
        await anyio.sleep(1)  # and everything was read


@pytest.mark.requirement("attack-64")
async def test_a_revoked_grant_and_a_revoked_token_stay_revoked(
    server: Running, browser: Browser, client: OAuthClient, caplog: pytest.LogCaptureFixture
) -> None:
    ended, kept = await client.tokens(browser), await client.tokens(browser)
    alone = (await client.refresh(kept["refresh_token"])).json()
    for token in (ended["refresh_token"], alone["access_token"]):
        form = {"token": token, "client_id": client.client_id}
        assert (await client.http.post("/oauth/revoke", data=form)).status_code == 200
    await fail_over(server, caplog)
    assert await opens(server, ended["access_token"]) == (401, 401)
    assert await opens(server, alone["access_token"]) == (401, 401)
    assert_error(await client.refresh(ended["refresh_token"]), 400, "invalid_grant")
    # What was never revoked is as good as before.
    assert await opens(server, kept["access_token"]) == (200, 200)
    assert (await client.refresh(alone["refresh_token"])).status_code == 200
    # The database knows again, and with it every other process.
    (revoked,) = sql(server.location, "SELECT count(*) FROM grants WHERE revoked_at IS NOT NULL")
    kinds = sorted(kind for (kind,) in sql(server.location, "SELECT kind FROM revocations"))
    assert (revoked, kinds) == ((1,), ["grant", "token"])


@pytest.mark.requirement("attack-64", "AS-35")
async def test_a_lost_refresh_token_revocation_is_known_at_the_token_endpoint_first(
    server: Running, browser: Browser, client: OAuthClient, caplog: pytest.LogCaptureFixture
) -> None:
    ended = await client.tokens(browser)
    form = {"token": ended["refresh_token"], "client_id": client.client_id}
    assert (await client.http.post("/oauth/revoke", data=form)).status_code == 200
    await fail_over(server, caplog)
    assert_error(await client.refresh(ended["refresh_token"]), 400, "invalid_grant")
    assert_error(await client.refresh(ended["refresh_token"]), 400, "invalid_grant")
    assert await opens(server, ended["access_token"]) == (401, 401)


@pytest.mark.parametrize("what", ["ceiling", "person"])
@pytest.mark.requirement("attack-64", "AS-35")
async def test_what_ended_with_a_ceiling_or_a_person_stays_ended_and_a_new_sign_in_counts(
    server: Running, browser: Browser, client: OAuthClient, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    owner = await owner_of(server)
    before = await client.tokens(browser, scope="mcp:read mcp:write")
    if what == "ceiling":
        await set_ceiling(server, owner, "mcp:read")
    else:
        await set_disabled(server, owner, disabled=True)
    assert await opens(server, before["access_token"]) == (401, 401)
    sql(server.location, "UPDATE users SET disabled = :no", no=False)  # that was lost as well
    await fail_over(server, caplog)
    assert await opens(server, before["access_token"]) == (401, 401)
    assert_error(await client.refresh(before["refresh_token"]), 400, "invalid_grant")
    server.clock.advance(2)
    later = Browser(server.url)
    after = await client.tokens(later, scope="mcp:read")
    await later.close()
    assert await opens(server, after["access_token"]) == (200, 200)
