"""Databases of either engine, with what a first start leaves in them, and the commands that move them."""

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack
from pathlib import Path

import pytest

from tests.commands.conftest import Shell, shell
from tests.support.clock import ManualClock
from tests.support.databases import ENGINES, Template
from tests.support.postgres import Postgres
from tests.support.program import free_port
from tests.support.server import Running, running

__all__ = ["shell"]

MakeDatabase = Callable[[str], str]
Serve = Callable[[str], AbstractAsyncContextManager[Running]]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=ENGINES)
def other_engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeDatabase]:
    """Makes databases without a schema; returns their URL, on PostgreSQL with a password."""
    with ExitStack() as stack:
        count = 0

        def make(engine: str) -> str:
            nonlocal count
            count += 1
            if engine == "sqlite":
                return f"sqlite:///{tmp_path}/database-{count}.db"
            server: Postgres = request.getfixturevalue("postgres")
            return stack.enter_context(server.database()).replace("postgres@", "postgres:hunter2@")

        yield make


@pytest.fixture
async def used(empty: MakeDatabase, shell: Shell, engine: str) -> str:
    """The URL of a database as a first start leaves it."""
    url = empty(engine)
    await shell.says("copy", shell.location, url)
    return url


@pytest.fixture
def serve(template: Template, tmp_path: Path, clock: ManualClock) -> Serve:
    """Runs servers with a database, one after the other, all of them at one address."""
    port = free_port()

    def start(url: str) -> AbstractAsyncContextManager[Running]:
        return running(template, tmp_path, {"MCP_OAUTH_DATABASE_URL": url}, clock, port=port)

    return start
