"""Two replicas on SQLite and on PostgreSQL, started once for each file of tests."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.commands.conftest import Shell
from tests.support.databases import ENGINES, SqliteTemplate
from tests.support.postgres import Postgres
from tests.support.replicas import Replicas, replicas


@pytest.fixture(scope="module", params=ENGINES)
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a database: on SQLite as a first start leaves it, on PostgreSQL without a schema."""
    if request.param == "sqlite":
        template: SqliteTemplate = request.getfixturevalue("sqlite_template")
        yield template.database(tmp_path_factory.mktemp("scale"))
        return
    server: Postgres = request.getfixturevalue("postgres")
    with server.database() as url:
        yield url


@pytest.fixture(scope="module")
async def pair(database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Replicas]:
    """Two replicas on one database, started at the same time."""
    async with replicas(tmp_path_factory.mktemp("pair"), database) as found:
        yield found


@pytest.fixture
def operator(pair: Replicas, tmp_path: Path) -> Shell:
    """Commands on the database of the replicas."""
    return Shell(tmp_path, {"MCP_OAUTH_DATABASE_URL": pair.database})
