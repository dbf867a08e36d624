"""A verb on PostgreSQL: repeated where the database asks for that or the connection was dead, cut off when it hangs."""

import asyncio
import threading
import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from sqlalchemy import Connection, event, text

from oauth_server.store import store as store_module
from oauth_server.store.errors import StoreUnavailableError
from oauth_server.store.records import Revocation
from oauth_server.store.store import Store
from oauth_server.store.verbs import meta, revocations
from oauth_server.store.work import TIMES
from tests.support.fault_proxy import fault_proxy
from tests.support.postgres import Postgres


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    with postgres.database() as found:
        yield found


@pytest.fixture
def postgres_store(url: str) -> Iterator[Store]:
    found = Store(url)
    yield found
    found.close()


async def test_of_two_verbs_in_a_deadlock_both_succeed(postgres_store: Store) -> None:
    for name in "ab":
        await postgres_store.write(meta.remember, name, "")
    met, runs = threading.Barrier(2), []

    def lock(connection: Connection, first: str, second: str) -> None:
        runs.append(first)
        connection.execute(text("SELECT 1 FROM meta WHERE name = :n FOR UPDATE"), {"n": first})
        if runs.count(first) == 1:
            met.wait(10)
        connection.execute(text("UPDATE meta SET value = value || :n WHERE name = :o"), {"n": first, "o": second})

    await asyncio.gather(postgres_store.write(lock, "a", "b"), postgres_store.write(lock, "b", "a"))
    assert len(runs) == 3
    assert [await postgres_store.read(meta.get, name) for name in "ab"] == ["b", "a"]


async def test_a_serialization_failure_is_repeated_a_bounded_number_of_times(postgres_store: Store, url: str) -> None:
    await postgres_store.write(meta.remember, "n", "0")
    runs, others = [], 1

    def conflict(connection: Connection) -> None:
        runs.append(1)
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        connection.execute(text("SELECT value FROM meta")).all()
        if len(runs) <= others:
            with psycopg.connect(url) as other:
                other.execute("UPDATE meta SET value = value || 'x'")
        connection.execute(text("UPDATE meta SET value = value || 'y'"))

    await postgres_store.write(conflict)
    assert (len(runs), await postgres_store.read(meta.get, "n")) == (2, "0xy")
    runs.clear()
    others = 99
    with pytest.raises(StoreUnavailableError, match="concurrent update"):
        await postgres_store.write(conflict)
    assert len(runs) == TIMES


async def test_a_statement_that_hangs_is_cut_off_and_undone(
    postgres_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "ANSWER_SECONDS", 0.5)

    def hang(connection: Connection) -> None:
        meta.remember(connection, "half", "v")
        connection.execute(text("SELECT pg_sleep(6)"))

    for run in (postgres_store.write, postgres_store.read):
        began = time.monotonic()
        with pytest.raises(StoreUnavailableError, match="no answer within"):
            await run(hang)
        assert time.monotonic() - began < 2
        await asyncio.sleep(1.1)  # the circuit's rest
    monkeypatch.undo()
    assert await postgres_store.read(meta.get, "half") is None
    assert not postgres_store._at_work


async def test_a_commit_without_an_answer_is_repeated_for_a_read_and_for_no_write(url: str) -> None:
    async with fault_proxy(url) as proxy:
        store = await asyncio.to_thread(Store, proxy.url)
        try:
            await store.write(meta.remember, "n", "0")
            runs: list[int] = []

            def read(connection: Connection) -> str | None:
                runs.append(1)
                return meta.get(connection, "n")

            def add(connection: Connection) -> None:
                runs.append(1)
                connection.execute(text("UPDATE meta SET value = value || 'x' WHERE name = 'n'"))

            proxy.cut_after = b"COMMIT"
            assert await store.read(read) == "0"
            assert (proxy.cut_after, len(runs)) == (b"", 2)
            runs.clear()
            proxy.cut_after = b"COMMIT"
            with pytest.raises(StoreUnavailableError):
                await store.write(add)
            assert len(runs) == 1
            assert await store.read(meta.get, "n") == "0x"
        finally:
            await asyncio.to_thread(store.close)


async def test_each_connection_has_its_timeouts(postgres_store: Store) -> None:
    def shown(connection: Connection) -> list[str]:
        wanted = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "application_name")
        return [str(connection.execute(text(f"SHOW {name}")).scalar()) for name in wanted]

    expected = ["8s", "5s", "20s", "mcp-docker-server"]
    assert await postgres_store.read(shown) == await postgres_store.write(shown) == expected


async def test_of_several_hosts_the_one_that_takes_writes_is_used(url: str) -> None:
    parts = urlsplit(url)
    folder = parse_qs(parts.query)["host"][0]
    store = Store(
        f"postgresql://postgres@/{parts.path[1:]}?host=127.0.0.1:1&host={folder}:5432&target_session_attrs=read-write"
    )
    try:
        assert await store.write(meta.get_or_create, "n", "v") == "v"
    finally:
        store.close()


@pytest.mark.requirement("attack-64")
async def test_a_revocation_committed_while_others_are_read_is_not_missed(pair: tuple[Store, Store]) -> None:
    store, other = pair
    await store.write(revocations.revoke, [Revocation("grant", "one", 1.0, 1000.0)])
    entry = [Revocation("grant", "two", 1.0, 1000.0)]
    done: list[int] = []

    def between(*_args: object) -> None:
        if not done:
            done.append(1)
            with other._write_engine.begin() as connection:
                revocations.revoke(connection, entry)

    event.listen(store._read_engine, "after_cursor_execute", between)
    first = await store.read(revocations.since, revocations.BEGINNING, 1.0, 9)
    second = await store.read(revocations.since, first.known, 1.0, 9)
    assert done
    assert {value for _, value, _ in (*first.entries, *second.entries)} == {"one", "two"}
    assert second.known == (3, "", "")
