"""Replicas whose clocks differ: two servers on one database, each with a clock of its own."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.clock import ManualClock
from tests.support.databases import Template, both_engines
from tests.support.journey import Alternating, journey_in_turn, person, refused
from tests.support.oauth import OAuthClient, Pkce
from tests.support.program import SERVER, environment, free_port, program
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


# A real process whose time is ahead, as on a machine whose clock is wrong; the database's is not.
AHEAD = (
    "import runpy, sys, time; right = time.time; time.time = lambda: right() + {seconds}; "
    "sys.argv = ['server.py', *sys.argv[1:]]; runpy.run_path('server.py', run_name='__main__')"
)


@asynccontextmanager
async def two_processes(folder: Path, database: str, seconds: float) -> AsyncIterator[Replicas]:
    """Two replicas on one database; the clock of the second is so many seconds ahead."""
    settings = {
        "MCP_OAUTH_ISSUER": URL,
        "MCP_OAUTH_DATABASE_URL": database,
        "MCP_OAUTH_ADMIN_PASSWORD": PASSWORD,
        "MCP_OAUTH_TRUSTED_PROXIES": "127.0.0.1",
    }
    async with AsyncExitStack() as stack:
        found = Replicas(URL, database, [free_port(), free_port()], environment(folder, **settings), stack)
        await found.start(0)
        port = str(found.ports[1])
        command = (SERVER[0], "-c", AHEAD.format(seconds=seconds), "--port", port)
        fast = await stack.enter_async_context(program(*command, env=found.env))
        await fast.ready(f"http://127.0.0.1:{port}")
        yield found


class At:
    """One of two replicas, as a browser and a client of it see it."""

    def __init__(self, both: Replicas, number: int) -> None:
        self.url, self._both, self._number = both.url, both, number

    def client(self, **_kwargs: object) -> httpx2.AsyncClient:
        return self._both.at(self._number)


@pytest.mark.requirement("attack-31", "attack-45", "attack-75")
@pytest.mark.parametrize("seconds", [31, 600, -31])
@both_engines
async def test_a_repetition_at_the_one_whose_clock_is_wrong_is_judged_by_the_databases(
    template: Template, tmp_path: Path, seconds: int
) -> None:
    async with two_processes(tmp_path, template.database(tmp_path), seconds) as both, AsyncExitStack() as stack:
        right, wrong = (OAuthClient(At(both, number)) for number in (0, 1))  # type: ignore[arg-type]
        browser = person(At(both, 0))  # type: ignore[arg-type]
        for opened in (browser.http, right.http, wrong.http):
            stack.push_async_callback(opened.aclose)
        # Redeemed a moment after it was issued, and redeemed twice by twins.
        pkce = Pkce.new()
        code = await right.code(browser, pkce)
        first = await wrong.redeem(code, pkce)
        assert first.status_code == 200, first.text
        assert (await right.redeem(code, pkce)).status_code == 400
        assert (await wrong.redeem(code, pkce)).status_code == 400
        tokens: dict[str, Any] = first.json()
        # Each refresh is asked for twice, as where its answer was lost: at the one, and then at the other.
        for one, other in ((right, wrong), (wrong, right)):
            replies = [await each.refresh(tokens["refresh_token"]) for each in (one, other)]
            assert [reply.status_code for reply in replies] == [200, 200], replies[1].text
            assert replies[0].json()["refresh_token"] == replies[1].json()["refresh_token"]
            tokens = replies[0].json()
