"""Reads by key on SQLite need no other thread, and what would have to wait is left to one."""

import threading
from collections.abc import Awaitable, Callable

import anyio.to_thread
import pytest
from sqlalchemy import Connection

from oauth_server.store.at_once import by_key
from oauth_server.store.store import Store
from oauth_server.store.verbs import clients, users
from tests.support.stored import client, user


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was left to a thread, which still does it."""
    seen: list[object] = []
    run_sync: Callable[..., Awaitable[object]] = anyio.to_thread.run_sync

    def watched(work: object, *args: object, **kwargs: object) -> Awaitable[object]:
        seen.append(work)
        return run_sync(work, *args, **kwargs)

    monkeypatch.setattr(anyio.to_thread, "run_sync", watched)
    return seen


@by_key
def _thread(connection: Connection) -> str:
    connection.exec_driver_sql("SELECT count(*) FROM clients").scalar()
    return threading.current_thread().name


async def test_rows_are_read_by_key_without_another_thread_as_they_are_now(
    sqlite_store: Store, threads: list[object]
) -> None:
    assert await sqlite_store.read(clients.find, "new") is None
    await sqlite_store.write(clients.add, client("new"))
    found = await sqlite_store.read(clients.find, "new")
    assert found is not None
    assert found.client_id == "new"
    await sqlite_store.write(users.add, user("zoe"))
    assert await sqlite_store.read(users.by_username, "zoe") == user("zoe")
    assert await sqlite_store.read(_thread) == threading.current_thread().name
    assert not threads
    await sqlite_store.read(clients.newest, 10)
    assert len(threads) == 1  # what may be long keeps nobody waiting


async def test_what_would_have_to_wait_for_another_reader_is_left_to_a_thread(
    sqlite_store: Store, threads: list[object]
) -> None:
    assert sqlite_store._at_once is not None
    with sqlite_store._at_once._taken:
        assert await sqlite_store.read(_thread) != threading.current_thread().name
    assert len(threads) == 1
