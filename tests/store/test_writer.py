"""The writer thread on SQLite: grouping, isolation of each verb, and answers only after the commit."""

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, text

from oauth_server.store import store as store_module
from oauth_server.store import writer as writer_module
from oauth_server.store.at_once import by_key
from oauth_server.store.errors import StoreUnavailableError
from oauth_server.store.store import Store
from oauth_server.store.verbs import meta


class Commits:
    """How many commits the writer made."""

    def __init__(self, store: Store) -> None:
        self.count = 0
        assert store._writer is not None
        event.listen(store._writer._engine, "before_cursor_execute", self._counted)

    def _counted(self, _connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        self.count += statement == "COMMIT"


@pytest.fixture
def commits(sqlite_store: Store) -> Commits:
    return Commits(sqlite_store)


class Gate:
    """A verb that holds the writer until it is let go, so that everything asked for meanwhile waits."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()

    def __call__(self, _connection: Connection) -> None:
        self.entered.set()
        assert self.open.wait(20)


async def held(store: Store) -> tuple[Gate, asyncio.Task[None]]:
    """Start a gate and wait until the writer stands in it."""
    gate = Gate()
    task = asyncio.create_task(store.write(gate))
    await asyncio.to_thread(gate.entered.wait, 20)
    return gate, task


def remember_then_fail(connection: Connection, name: str) -> None:
    """Write a row, then raise."""
    meta.remember(connection, name, "must not stay")
    raise LookupError(name)


def break_sql(connection: Connection) -> None:
    """Send a statement that the database refuses."""
    connection.execute(text("INSERT INTO meta (name, value) VALUES ('x', NULL)"))


async def test_a_hundred_writes_at_once_take_few_commits(sqlite_store: Store, commits: Commits) -> None:
    await asyncio.gather(*(sqlite_store.write(meta.remember, f"n{n}", "v") for n in range(100)))
    assert commits.count <= 10
    for number in range(100):
        assert await sqlite_store.read(meta.get, f"n{number}") == "v"


async def test_what_waits_while_a_batch_runs_goes_into_one_commit(sqlite_store: Store, commits: Commits) -> None:
    gate, task = await held(sqlite_store)
    waiting = [asyncio.create_task(sqlite_store.write(meta.remember, f"n{n}", "v")) for n in range(100)]
    await asyncio.sleep(0)
    assert commits.count == 0
    gate.open.set()
    await asyncio.gather(task, *waiting)
    assert commits.count == 2


async def test_a_verb_that_raises_is_undone_alone(sqlite_store: Store, commits: Commits) -> None:
    gate, task = await held(sqlite_store)
    jobs = [
        asyncio.create_task(sqlite_store.write(remember_then_fail, f"n{n}"))
        if n % 3 == 0
        else asyncio.create_task(sqlite_store.write(break_sql))
        if n % 3 == 1
        else asyncio.create_task(sqlite_store.write(meta.get_or_create, f"n{n}", f"v{n}"))
        for n in range(30)
    ]
    await asyncio.sleep(0)
    gate.open.set()
    await task
    found = await asyncio.gather(*jobs, return_exceptions=True)
    assert commits.count == 2
    for number, outcome in enumerate(found):
        if number % 3 == 0:
            assert isinstance(outcome, LookupError)
            assert outcome.args == (f"n{number}",)
        elif number % 3 == 1:
            assert "NOT NULL" in str(outcome)
        else:
            assert outcome == f"v{number}"
        wanted = f"v{number}" if number % 3 == 2 else None
        assert await sqlite_store.read(meta.get, f"n{number}") == wanted


async def test_a_verb_sees_what_the_one_before_it_in_the_batch_wrote(sqlite_store: Store, commits: Commits) -> None:
    gate, task = await held(sqlite_store)
    jobs = [asyncio.create_task(sqlite_store.write(meta.get_or_create, "one", f"v{n}")) for n in range(10)]
    await asyncio.sleep(0)
    gate.open.set()
    await task
    assert await asyncio.gather(*jobs) == ["v0"] * 10
    assert commits.count == 2


async def test_an_answer_leaves_only_after_the_commit(store: Store, empty_database: str) -> None:
    other = Store(empty_database)
    try:
        for number in range(20):
            await store.write(meta.remember, f"n{number}", "v")
            # No await in between: another connection sees the row the moment the answer is there.
            with other._read_engine.connect() as connection:
                assert meta.get(connection, f"n{number}") == "v"
    finally:
        other.close()


async def test_no_answer_comes_for_a_batch_whose_commit_fails(sqlite_store: Store) -> None:
    def refuse(_connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if statement == "COMMIT":
            raise sqlite3.OperationalError("disk I/O error")

    assert sqlite_store._writer is not None
    engine = sqlite_store._writer._engine
    event.listen(engine, "before_cursor_execute", refuse)
    jobs = [asyncio.create_task(sqlite_store.write(meta.remember, f"n{n}", "v")) for n in range(5)]
    found = await asyncio.gather(*jobs, return_exceptions=True)
    assert [str(outcome) for outcome in found] == ["disk I/O error"] * 5
    event.remove(engine, "before_cursor_execute", refuse)
    for number in range(5):
        assert await sqlite_store.read(meta.get, f"n{number}") is None
    await sqlite_store.write(meta.remember, "after", "v")
    assert await sqlite_store.read(meta.get, "after") == "v"


async def test_a_caller_who_gives_up_does_not_stop_the_writer(sqlite_store: Store) -> None:
    gate, task = await held(sqlite_store)
    given_up = asyncio.create_task(sqlite_store.write(meta.remember, "given up", "v"))
    kept = asyncio.create_task(sqlite_store.write(meta.remember, "kept", "v"))
    await asyncio.sleep(0)
    given_up.cancel()
    gate.open.set()
    await asyncio.gather(task, kept)
    with pytest.raises(asyncio.CancelledError):
        await given_up
    assert await sqlite_store.read(meta.get, "kept") == "v"
    # It was answered as not done, by a timeout for example, and so it stays.
    assert await sqlite_store.read(meta.get, "given up") is None


async def test_many_callers_who_give_up_keep_those_behind_them_from_nothing(sqlite_store: Store) -> None:
    gate, task = await held(sqlite_store)
    waiting = [asyncio.create_task(sqlite_store.write(meta.remember, f"n{n}", "v")) for n in range(300)]
    await asyncio.sleep(0)
    for given_up in waiting[:280]:
        given_up.cancel()
    gate.open.set()
    await asyncio.wait_for(asyncio.gather(task, *waiting[280:]), 5)
    assert await sqlite_store.read(meta.get, "n299") == "v"
    assert await sqlite_store.read(meta.get, "n279") is None


async def test_what_was_refused_while_its_batch_waited_for_another_process_does_not_happen_later(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "ANSWER_SECONDS", 0.3)
    other = sqlite3.connect(sqlite_store.location.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    late = [asyncio.create_task(sqlite_store.write(meta.remember, name, "x")) for name in ("late", "given up")]
    await asyncio.sleep(0.1)
    late[1].cancel()
    with pytest.raises(StoreUnavailableError):
        await late[0]
    monkeypatch.setattr(store_module, "ANSWER_SECONDS", 10)
    after = asyncio.create_task(sqlite_store.write(meta.remember, "after", "x"))
    other.execute("ROLLBACK")
    await after
    other.close()
    assert [await sqlite_store.read(meta.get, name) for name in ("late", "given up", "after")] == [None, None, "x"]


@by_key
def note_thread(_connection: Connection, seen: list[tuple[str, str]], name: str) -> None:
    seen.append((name, threading.current_thread().name))


@pytest.mark.parametrize(("tries", "thread"), [(1000, "MainThread"), (3, "store-writer")])
async def test_the_loop_tries_again_for_a_moment_while_another_process_writes_then_a_thread_waits(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch, tries: int, thread: str
) -> None:
    monkeypatch.setattr(writer_module, "TRIES", tries)
    await sqlite_store.write(meta.remember, "first", "x")
    other = sqlite3.connect(sqlite_store.location.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    seen: list[tuple[str, str]] = []
    waiting = [asyncio.create_task(sqlite_store.write(note_thread, seen, f"n{n}")) for n in range(3)]
    await asyncio.sleep(0.1)
    waiting += [asyncio.create_task(sqlite_store.write(note_thread, seen, f"n{n}")) for n in range(3, 6)]
    await asyncio.sleep(0.01)
    waiting[1].cancel()
    await asyncio.sleep(0)
    assert seen == []
    other.execute("ROLLBACK")
    other.close()
    await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 20)
    assert [name for name, _ in seen] == ["n0", "n2", "n3", "n4", "n5"]
    assert {ran for name, ran in seen if name in {"n0", "n2"}} == {thread}


async def test_close_finishes_what_waits_for_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "TRIES", 1000)
    store = Store(f"sqlite:///{tmp_path}/oauth.db")
    other = sqlite3.connect(tmp_path / "oauth.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    seen: list[tuple[str, str]] = []
    task = asyncio.create_task(store.write(note_thread, seen, "n"))
    await asyncio.sleep(0.05)
    closing = asyncio.create_task(asyncio.to_thread(store.close))
    await asyncio.sleep(0.05)
    other.execute("ROLLBACK")
    await asyncio.wait_for(asyncio.gather(task, closing), 20)
    other.close()
    assert [name for name, _ in seen] == ["n"]


async def test_close_finishes_what_waits(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/oauth.db")
    gate, task = await held(store)
    waiting = [asyncio.create_task(store.write(meta.remember, f"n{n}", "v")) for n in range(300)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(asyncio.to_thread(store.close))
    await asyncio.sleep(0)
    gate.open.set()
    await asyncio.wait_for(asyncio.gather(task, closing, *waiting), 20)
    with sqlite3.connect(tmp_path / "oauth.db") as connection:
        assert connection.execute("SELECT count(*) FROM meta").fetchone() == (300,)
    connection.close()


async def test_a_write_after_the_end_is_refused_and_does_not_wait_for_ever(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/oauth.db")
    store.close()
    with pytest.raises(StoreUnavailableError, match="closed"):
        await asyncio.wait_for(store.write(meta.remember, "late", "v"), 5)


def test_an_answer_for_a_loop_that_has_ended_is_dropped(sqlite_store: Store) -> None:
    gate = Gate()

    async def leave() -> None:
        task = asyncio.create_task(sqlite_store.write(gate))
        await asyncio.to_thread(gate.entered.wait, 20)
        task.cancel()

    asyncio.run(leave())
    gate.open.set()

    async def go_on() -> str:
        return await sqlite_store.write(meta.get_or_create, "after", "v")

    assert asyncio.run(go_on()) == "v"
