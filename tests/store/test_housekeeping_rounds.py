"""Rounds of housekeeping: when, how fast, through an outage, beside another process; and that no table grows for ever."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from oauth_server.app.compose import open_services
from oauth_server.core import housekeeping
from oauth_server.core.deployment import deploy
from oauth_server.core.housekeeping import BATCH, INTERVAL, PAUSE, TURN, YIELD, Housekeeping
from oauth_server.core.services import Services
from oauth_server.core.settings import load
from oauth_server.store import chain
from oauth_server.store.schema import browser_sessions
from oauth_server.store.store import Store
from oauth_server.store.verbs import users
from oauth_server.store.verbs.audit import LANES
from tests.support.clock import ManualClock, at_once
from tests.support.postgres import Postgres
from tests.support.soak import ENV, Soak, sizes, steady
from tests.support.stored import count, people, sha


class Sleeps:
    """Records what is slept, takes no time, and ends the sleeper at last."""

    def __init__(self, most: int, between: Callable[[int], None] = lambda _: None) -> None:
        self.seconds: list[float] = []
        self._most = most
        self._between = between

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        rounds = sum(one >= 0.8 * INTERVAL for one in self.seconds)
        if rounds > self._most:
            raise asyncio.CancelledError
        if seconds >= 0.8 * INTERVAL:
            self._between(rounds)


async def expired_sessions(store: Store, clock: ManualClock, number: int, name: str = "s") -> None:
    starts = (
        store.write(users.start_session, sha(f"{name}{n}"), "id-of-alice", "x", clock() - 9, clock() - 9000, None)
        for n in range(number)
    )
    await asyncio.gather(*starts)


async def run_to_the_end(keeping: Housekeeping) -> None:
    with pytest.raises(asyncio.CancelledError):
        await keeping.run()


async def test_a_round_comes_each_minute_give_or_take_a_fifth(store: Store, clock: ManualClock) -> None:
    await people(store)
    await expired_sessions(store, clock, 3)
    sleeps = Sleeps(20)
    await run_to_the_end(Housekeeping(store, clock, sleep=sleeps))
    waits = [seconds for seconds in sleeps.seconds if seconds >= 0.8 * INTERVAL]
    assert all(0.8 * INTERVAL <= seconds <= 1.2 * INTERVAL for seconds in waits)
    assert len(set(waits)) == len(waits)
    assert await store.read(count, browser_sessions) == 0


async def test_much_leaves_in_batches_with_a_pause_after_each(store: Store, clock: ManualClock) -> None:
    await people(store)
    await expired_sessions(store, clock, 2 * BATCH + 1)
    left: list[int] = []

    async def sleep(seconds: float) -> None:
        assert seconds >= PAUSE
        left.append(await store.read(count, browser_sessions))

    assert await Housekeeping(store, clock, sleep=sleep).round() == 2 * BATCH + 1
    assert sorted(set(left), reverse=True) == [2 * BATCH + 1, BATCH + 1, 1, 0]


async def test_the_busier_the_store_the_longer_the_pause(store: Store, clock: ManualClock) -> None:
    slow = 0.1
    write = store.write

    async def under_load(*args: Any) -> Any:
        await asyncio.sleep(slow)
        return await write(*args)

    store.write = under_load  # type: ignore[method-assign]
    sleeps = Sleeps(0)
    await Housekeeping(store, clock, sleep=sleeps).round()
    assert min(sleeps.seconds) >= YIELD * slow


async def test_one_process_keeps_house_and_another_takes_over(pair: tuple[Store, Store], clock: ManualClock) -> None:
    one, other = (Housekeeping(store, clock, sleep=at_once) for store in pair)
    await people(pair[0])
    await one.round()
    await expired_sessions(pair[0], clock, 5)
    assert await other.round() == 0
    assert await pair[0].read(count, browser_sessions) == 5
    clock.advance(TURN)
    assert await other.round() == 5
    assert await one.round() == 0


async def test_two_processes_at_once_delete_each_row_once(pair: tuple[Store, Store], clock: ManualClock) -> None:
    await people(pair[0])
    await expired_sessions(pair[0], clock, 3 * BATCH)
    both = (Housekeeping(store, clock, sleep=at_once).round() for store in pair)
    assert sorted(await asyncio.gather(*both)) == [0, 3 * BATCH]


async def test_an_outage_is_waited_for_and_told_once(
    postgres: Postgres, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    with postgres.database() as url:
        store = Store(url)
        try:
            await people(store)
            await expired_sessions(store, clock, 5)

            def between(rounds: int) -> None:
                if rounds == 1:
                    postgres.stop_answering(url)
                if rounds == 4:
                    postgres.answer_again(url)

            await run_to_the_end(Housekeeping(store, clock, sleep=Sleeps(6, between)))
            assert await store.read(count, browser_sessions) == 0
        finally:
            store.close()
    assert [record.message.split(":")[0] for record in caplog.records] == ["expired rows cannot be deleted for now"]


async def test_a_round_that_fails_is_told_with_its_reason_and_the_next_one_comes(
    sqlite_store: Store, clock: ManualClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    await people(sqlite_store)
    await expired_sessions(sqlite_store, clock, 5)
    steps = housekeeping.STEPS

    def broken(*_args: Any) -> int:
        raise ValueError("of a verb")

    def between(rounds: int) -> None:
        monkeypatch.setattr(housekeeping, "STEPS", ((broken, 0), *steps) if rounds < 3 else steps)

    await run_to_the_end(Housekeeping(sqlite_store, clock, sleep=Sleeps(3, between)))
    (told,) = caplog.records  # once for both rounds
    assert (told.levelname, told.message) == ("ERROR", "expired rows cannot be deleted for now: of a verb")
    assert "Traceback" in caplog.text
    assert await sqlite_store.read(count, browser_sessions) == 0


@asynccontextmanager
async def opened(url: str, clock: ManualClock, *, serves_http: bool = False, **env: str) -> AsyncIterator[Services]:
    values = load({"MCP_OAUTH_DATABASE_URL": url, "MCP_OAUTH_ADMIN_PASSWORD": "correct horse battery", **env})
    opening = open_services(values, lambda _: deploy(values, "127.0.0.1", 8000), serves_http=serves_http, clock=clock)
    async with opening as found:
        yield found.services


@pytest.mark.parametrize("serves_http", [True, False])
async def test_a_process_that_serves_keeps_house_by_itself(
    tmp_path: Any, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, serves_http: bool
) -> None:
    monkeypatch.setattr(housekeeping, "INTERVAL", 0.01)
    async with opened(f"sqlite:///{tmp_path}/oauth.db", clock, serves_http=serves_http) as services:
        await people(services.store)
        await expired_sessions(services.store, clock, 5)
        for _ in range(500 if serves_http else 25):
            if await services.store.read(count, browser_sessions) == 0:
                break
            await asyncio.sleep(0.02)
        assert await services.store.read(count, browser_sessions) == (0 if serves_http else 5)


async def test_no_table_grows_for_ever(empty_database: str, clock: ManualClock) -> None:
    clock.advance(-60 * 86_400)  # events leave by the clock of the database, which is never behind this one
    async with opened(empty_database, clock, **ENV) as services:
        soak = Soak(services, clock)
        await soak.begin()
        keeping = Housekeeping(services.store, clock, sleep=at_once, audit_days=5)

        async def days(number: int) -> dict[str, int]:
            for _ in range(number):
                await soak.day(3)
                await keeping.round()
            return await services.store.read(sizes)

        early, late = await days(15), await days(15)
        found = await services.store.read(chain.check, clock())
    assert steady(late) == steady(early)
    assert abs(late["audit"] - early["audit"]) <= LANES  # of each lane one event stays that could leave
    assert (found.broken, found.events) == (None, late["audit"])
    busy = ("audit", "codes", "grants", "refresh_tokens", "client_documents", "revocations")
    assert all(early[name] for name in busy), early


async def test_whatever_ended_leaves_also_where_nothing_happens_any_more(
    empty_database: str, clock: ManualClock
) -> None:
    async with opened(empty_database, clock, **ENV) as services:
        soak = Soak(services, clock)
        await soak.begin()
        await soak.day(2)
        clock.advance(30 * 86_400)
        await Housekeeping(services.store, clock, sleep=at_once).round()
        found = await services.store.read(sizes)
    # Two clients of the soak that were used, one known by its document, which its remembered consent rests on.
    stays = {"users": 1, "clients": 3, "client_documents": 1, "consents": 3}
    always = ("audit", "audit_heads", "meta", "epoch", "signing_keys", "form_secrets")
    assert {name: rows for name, rows in found.items() if rows and name not in always} == stays
