"""The circuit breaker: opened by what the database does, and by nothing that a caller does."""

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from oauth_server.store import store as store_module
from oauth_server.store.circuit import REST, SLOW, Circuit
from oauth_server.store.errors import StoreUnavailableError
from oauth_server.store.store import Store
from oauth_server.store.verbs import meta
from tests.support.clock import ManualClock
from tests.support.postgres import Postgres

LONGEST = 10.0


@pytest.fixture
def steady() -> ManualClock:
    return ManualClock(0.0)


@pytest.fixture
def opened(steady: ManualClock) -> Circuit:
    """A circuit that a call opened, which took long to find the database out of reach."""
    found = Circuit(LONGEST, steady)
    began = found.begin()
    steady.advance(SLOW)
    found.end(began, TimeoutError())
    with pytest.raises(StoreUnavailableError):
        found.check()
    return found


@pytest.mark.parametrize("error", [asyncio.CancelledError, TimeoutError])
def test_a_trial_that_found_nothing_out_or_failed_at_once_lets_the_next_one_try(
    opened: Circuit, steady: ManualClock, error: type[BaseException]
) -> None:
    steady.advance(REST)
    began = opened.begin()
    with pytest.raises(StoreUnavailableError):
        opened.check()
    opened.end(began, error())
    opened.check()
    with opened.trial():
        pass
    opened.check()


def test_who_gives_up_leaves_the_trial_of_another_alone(opened: Circuit, steady: ManualClock) -> None:
    began = opened._steady() - 0.5
    steady.advance(REST)
    with opened.trial():
        opened.end(began, asyncio.CancelledError())  # a call of before
        with pytest.raises(StoreUnavailableError):
            opened.check()


@pytest.fixture
def postgres_store(postgres: Postgres) -> Iterator[Store]:
    with postgres.database() as url:
        found = Store(url)
        yield found
        found.close()


async def test_one_caller_who_gives_up_keeps_nobody_from_a_healthy_database(postgres_store: Store) -> None:
    for run in (postgres_store.read, postgres_store.write):
        slow = asyncio.create_task(run(lambda connection: connection.execute(text("SELECT pg_sleep(8)"))))  # type: ignore[arg-type]
        await asyncio.sleep(SLOW + 0.2)
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        began = time.monotonic()
        while postgres_store._at_work:
            assert time.monotonic() - began < 5
            await asyncio.sleep(0.01)
        assert await postgres_store.write(meta.get_or_create, "n", "v") == "v"
        assert await postgres_store.read(meta.get, "n") == "v"


async def test_a_trial_that_is_cancelled_keeps_nobody_from_a_file_that_is_free_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "ANSWER_SECONDS", SLOW)
    store = Store(f"sqlite:///{tmp_path}/oauth.db")
    other = sqlite3.connect(tmp_path / "oauth.db", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError, match="no answer within"):
            await store.write(meta.remember, "n", "v")
        await asyncio.sleep(REST)
        monkeypatch.setattr(store._writing, "_longest", LONGEST)
        trial = asyncio.create_task(store.write(meta.remember, "n", "v"))
        await asyncio.sleep(0.1)
        trial.cancel()
        with pytest.raises(asyncio.CancelledError):
            await trial
        other.execute("ROLLBACK")
        await store.write(meta.remember, "n", "w")
        assert await store.read(meta.get, "n") == "w"
    finally:
        other.close()
        store.close()
