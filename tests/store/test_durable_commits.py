"""What the database is asked for, so that a commit is on disk when it returns."""

from urllib.parse import urlsplit

import pytest
from sqlalchemy import text

from oauth_server.store.store import Store
from tests.support.postgres import Postgres


@pytest.mark.parametrize("default", ["on", "off"])
async def test_a_commit_is_on_disk_when_it_returns_whatever_postgresql_is_configured_for(
    postgres: Postgres, default: str
) -> None:
    with postgres.database() as url:
        postgres.sql(f"ALTER DATABASE {urlsplit(url).path[1:]} SET synchronous_commit = {default}")
        store = Store(url)
        try:
            assert await store.write(lambda c: c.execute(text("SHOW synchronous_commit")).scalar()) == "on"
        finally:
            store.close()


async def test_a_commit_is_on_disk_when_it_returns_on_sqlite(sqlite_store: Store) -> None:
    full, wal = 2, "wal"
    assert await sqlite_store.write(lambda c: c.execute(text("PRAGMA synchronous")).scalar()) == full
    assert await sqlite_store.write(lambda c: c.execute(text("PRAGMA journal_mode")).scalar()) == wal
