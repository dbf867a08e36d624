"""The store on both engines: `store` runs each test on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from oauth_server.store.store import Store
from tests.support.databases import ENGINES
from tests.support.postgres import Postgres


@pytest.fixture(params=ENGINES)
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without a schema."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/data/oauth.db"
        return
    server: Postgres = request.getfixturevalue("postgres")
    with server.database() as url:
        yield url


@pytest.fixture
def store(empty_database: str) -> Iterator[Store]:
    """An open store with nothing in it."""
    found = Store(empty_database)
    yield found
    found.close()


@pytest.fixture
def pair(store: Store, empty_database: str) -> Iterator[tuple[Store, Store]]:
    """Two stores on one database, as two processes have them."""
    other = Store(empty_database)
    yield store, other
    other.close()


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Iterator[Store]:
    """An open store on SQLite."""
    found = Store(f"sqlite:///{tmp_path}/oauth.db")
    yield found
    found.close()
