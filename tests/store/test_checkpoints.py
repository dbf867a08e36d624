"""The WAL of a SQLite store is written back beside the traffic, and begins anew."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from oauth_server.store import checkpoints
from oauth_server.store.store import Store
from oauth_server.store.verbs import audit, meta
from tests.support.stored import NOW

EVENT = audit.AuditEvent("login", "success", at=NOW)


def beside(folder: Path, name: str) -> Path:
    """The one file of that name in a folder, or below."""
    (found,) = folder.rglob(name)
    return found


def frames(wal: Path) -> int:
    """How many frames of the WAL are of its present run: they have the salt of its header."""
    data = wal.read_bytes()
    salt, size = data[16:24], 24 + int.from_bytes(data[8:12])
    return sum(data[at + 8 : at + 16] == salt for at in range(32, len(data) - size + 1, size))


async def test_the_wal_begins_anew_while_writes_go_on(
    sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "AFTER", 50)
    wal = beside(tmp_path, "*-wal")

    async def busy() -> None:
        for _ in range(500):
            await sqlite_store.write(audit.append, EVENT)

    await asyncio.gather(*(busy() for _ in range(8)))
    # All of it is some 1,250 frames; SQLite by itself would begin anew after 16,000.
    assert frames(wal) < 600
    assert wal.stat().st_size < 600 * 4120


async def test_a_reader_that_stays_keeps_what_it_reads_and_nobody_waiting(
    sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "AFTER", 10)
    database = beside(tmp_path, "*.db")
    await sqlite_store.write(meta.remember, "a", "before")
    with sqlite3.connect(database, isolation_level=None) as reader:
        reader.execute("BEGIN")
        read = "SELECT value FROM meta WHERE name = 'a'"
        assert reader.execute(read).fetchone() == ("before",)
        await sqlite_store.write(meta.remember, "a", "after")
        for _ in range(100):
            await asyncio.wait_for(sqlite_store.write(audit.append, EVENT), 5)
        assert reader.execute(read).fetchone() == ("before",)
        reader.execute("COMMIT")
        assert reader.execute(read).fetchone() == ("after",)
    reader.close()


async def test_the_thread_survives_what_goes_wrong(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(checkpoints, "AFTER", 1)
    database = beside(tmp_path, "*.db")
    aside = database.with_name("aside")
    assert sqlite_store._writer is not None
    database.rename(aside)
    sqlite_store._writer._checkpoints.written(1)
    await asyncio.sleep(0.1)
    aside.rename(database)
    assert not sqlite_store._writer._checkpoints.rest
    await sqlite_store.write(audit.append, EVENT)
    for _ in range(100):
        if sqlite_store._writer._checkpoints.rest:
            break
        await asyncio.sleep(0.05)
    assert sqlite_store._writer._checkpoints.rest
