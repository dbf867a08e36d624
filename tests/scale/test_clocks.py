"""Replicas whose clocks differ: two servers on one database, each with a clock of its own."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.support.clock import ManualClock
from tests.support.journey import Alternating, journey_in_turn, person, refused
from tests.support.oauth import OAuthClient, Pkce
from tests.support.replicas import InTurn, Replicas
from tests.support.server import PASSWORD, Running, running

URL = "https://replicas.example"
Skewed = Callable[[float], AbstractAsyncContextManager[tuple[Running, Running]]]


@pytest.fixture
def skewed(template: Path, tmp_path: Path) -> Skewed:
    """Starts two servers on one database; the second one's clock is ahead by so many seconds."""

    @asynccontextmanager
    async def start(seconds: float) -> AsyncIterator[tuple[Running, Running]]:
        env = {"MCP_OAUTH_ISSUER": URL, "MCP_OAUTH_ADMIN_PASSWORD": PASSWORD}
        clock = ManualClock()
        ahead = ManualClock()
        ahead.now = clock.now + seconds
        async with (
            running(template, tmp_path, env, clock) as right,
            running(template, tmp_path, env, ahead) as fast,
        ):
            yield right, fast

    return start


def reached(*servers: Running) -> Replicas:
    """The servers, one request to each in turn."""
    return Replicas(URL, "", [server.port for server in servers], {}, AsyncExitStack())


@pytest.mark.requirement("attack-75")
async def test_half_a_minute_disturbs_no_step_whichever_process_takes_it(skewed: Skewed) -> None:
    async with skewed(30) as (right, fast):
        await journey_in_turn(Alternating(URL, InTurn([right.port, fast.port])))


@pytest.mark.requirement("attack-75")
async def test_a_form_of_the_one_that_is_ahead_by_a_minute_is_taken_by_the_other(skewed: Skewed) -> None:
    async with skewed(60) as (right, fast):
        browser, client = person(reached(fast, right)), OAuthClient(reached(right))  # type: ignore[arg-type]
        page = await browser.http.get(client.url(Pkce.new()))
        fields = {"username": "admin", "password": PASSWORD}
        assert (await browser.submit(page, fields)).status_code == 303
        right.clock.advance(-1)  # now it is more
        other = person(reached(fast, right))
        reply = await other.submit(await other.http.get(client.url(Pkce.new())), fields)
        assert "This form is too old, or belongs to another browser" in reply.text
        for opened in (browser.http, other.http, client.http):
            await opened.aclose()


@pytest.mark.requirement("attack-64", "attack-75")
@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
async def test_what_the_slower_one_ends_has_ended_although_it_was_issued_later(skewed: Skewed, kind: str) -> None:
    async with skewed(59) as (right, fast):
        browser, client = person(reached(fast)), OAuthClient(reached(fast))  # type: ignore[arg-type]
        tokens = await client.tokens(browser)
        slow = reached(right).client()
        form = {"token": tokens[kind], "client_id": client.client_id}
        assert (await slow.post("/oauth/revoke", data=form)).status_code == 200
        for server in (right, fast):
            http = reached(server).client()
            await refused(http, tokens["access_token"])
            await http.aclose()
        for opened in (browser.http, client.http, slow):
            await opened.aclose()
