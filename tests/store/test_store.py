"""Opening a store: files only the owner can read, durability really on, and what an unreachable database becomes."""

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from oauth_server.store.errors import StoreError, StoreUnavailableError
from oauth_server.store.store import Store
from oauth_server.store.verbs import meta
from tests.support.postgres import Postgres
from tests.support.stored import NOW, granted, people, rotate


def pragma(connection: Connection, name: str) -> object:
    """The value of a PRAGMA; a verb."""
    return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


@pytest.mark.requirement("RS-22", "AS-35")
async def test_database_files_are_0600_in_a_folder_0700(tmp_path: Path) -> None:
    path = tmp_path / "new" / "oauth.db"
    store = Store(f"sqlite:///{path}")
    try:
        await store.write(meta.remember, "a", "b")
        assert path.parent.stat().st_mode & 0o777 == 0o700
        files = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
        assert files == {"oauth.db": 0o600, "oauth.db-wal": 0o600, "oauth.db-shm": 0o600}
    finally:
        store.close()


async def test_an_existing_folder_keeps_its_mode(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o755)
    Store(f"sqlite:///{folder}/oauth.db").close()
    assert folder.stat().st_mode & 0o777 == 0o755


@pytest.mark.requirement("attack-74")
@pytest.mark.parametrize(
    ("name", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("journal_size_limit", 2**26)]
)
async def test_commits_are_durable_on_every_connection(sqlite_store: Store, name: str, value: object) -> None:
    assert await sqlite_store.write(pragma, name) == value
    assert await asyncio.gather(*(sqlite_store.read(pragma, name) for _ in range(12))) == [value] * 12


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "mysql://h/d", "not a url", "oracle+cx://h/d", "sqlite+aiosqlite:///x"]
)
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        Store(url)
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "oauth.db"
    path.write_bytes(b"this is a text file, not a database\n" * 100)
    with pytest.raises(StoreError, match="not a database"):
        Store(f"sqlite:///{path}")


@pytest.mark.parametrize("name", ["folder", "file/oauth.db"])
def test_a_path_that_cannot_be_a_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError):
        Store(f"sqlite:///{tmp_path}/{name}")


def test_an_unreachable_postgresql_is_refused_without_its_password() -> None:
    with pytest.raises(StoreError, match="cannot be reached") as caught:
        Store("postgresql://me:hunter2@127.0.0.1:1/db")
    assert "hunter2" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_the_location_people_see_has_no_password(postgres: Postgres) -> None:
    with postgres.database() as url:
        store = Store(url.replace("postgres@", "postgres:hunter2@"))
        try:
            assert "hunter2" not in store.location
            assert store.engine_name == "postgresql"
        finally:
            store.close()


async def test_a_locked_database_is_unavailable_not_broken(sqlite_store: Store, tmp_path: Path) -> None:
    await sqlite_store.write(meta.remember, "before", "v")
    await sqlite_store.write(lambda c: c.exec_driver_sql("PRAGMA busy_timeout=50").close())
    with sqlite3.connect(tmp_path / "oauth.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError, match="locked"):
            await sqlite_store.write(meta.remember, "during", "v")
        assert await sqlite_store.read(meta.get, "before") == "v"  # WAL: readers never wait for a writer
        other.execute("ROLLBACK")
    other.close()
    await sqlite_store.write(meta.remember, "after", "v")
    assert await sqlite_store.read(meta.get, "during") is None


async def test_a_lost_postgresql_is_unavailable_and_comes_back(postgres: Postgres) -> None:
    with postgres.database() as url:
        store = Store(url)
        try:
            await store.write(meta.remember, "before", "v")
            await asyncio.to_thread(postgres.stop_answering, url)
            with pytest.raises(StoreUnavailableError) as caught:
                await store.write(meta.remember, "during", "v")
            assert len(str(caught.value).splitlines()) == 1
            with pytest.raises(StoreUnavailableError):
                await store.read(meta.get, "before")
            await asyncio.to_thread(postgres.answer_again, url)
            assert await store.read(meta.get, "before") == "v"
            await store.write(meta.remember, "after", "v")
        finally:
            store.close()


async def test_a_connection_lost_inside_a_verb_is_unavailable(postgres: Postgres) -> None:
    with postgres.database() as url:
        store = Store(url)
        try:

            def die(connection: Connection) -> None:
                meta.remember(connection, "half", "v")
                pid = connection.execute(text("SELECT pg_backend_pid()")).scalar()
                postgres.sql(f"SELECT pg_terminate_backend({pid})")
                connection.execute(text("SELECT 1"))

            for run in (store.write, store.read):
                with pytest.raises(StoreUnavailableError):
                    await run(die)
            assert await store.read(meta.get, "half") is None
        finally:
            store.close()


async def test_a_lock_held_too_long_is_unavailable(postgres: Postgres) -> None:
    with postgres.database() as url:
        store = Store(url)
        try:
            await people(store)
            await granted(store)

            def impatient(connection: Connection) -> None:
                connection.execute(text("SET LOCAL lock_timeout = 50"))
                connection.execute(text("SELECT * FROM grants FOR UPDATE"))

            with store._write_engine.begin() as other:
                other.execute(text("SELECT * FROM grants FOR UPDATE"))
                with pytest.raises(StoreUnavailableError, match="lock timeout"):
                    await store.write(impatient)
            assert not isinstance(await rotate(store, now=NOW + 1), Exception)
        finally:
            store.close()


async def test_a_read_keeps_its_snapshot_while_others_write(sqlite_store: Store) -> None:
    await sqlite_store.write(meta.remember, "a", "1")
    loop = asyncio.get_running_loop()

    def twice(connection: Connection) -> tuple[str | None, str | None]:
        first = meta.get(connection, "a")
        asyncio.run_coroutine_threadsafe(sqlite_store.write(meta.remember, "a", "2"), loop).result(10)
        return first, meta.get(connection, "a")

    assert await sqlite_store.read(twice) == ("1", "1")
    assert await sqlite_store.read(meta.get, "a") == "2"


async def test_closing_waits_for_what_a_caller_who_gave_up_left_running(store: Store) -> None:
    began, release = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        began.set()
        release.wait(10)
        connection.execute(text("SELECT 1"))

    caller = asyncio.create_task(store.read(slow))
    await asyncio.to_thread(began.wait, 10)
    caller.cancel()
    closing = asyncio.create_task(asyncio.to_thread(store.close))
    done, _ = await asyncio.wait({closing}, timeout=0.1)
    release.set()
    await closing
    assert not done
