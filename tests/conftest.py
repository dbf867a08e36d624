"""Fixtures: a running server, its owner's browser, a client of it; `make_server` for other environments."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support import requirements
from tests.support.browser import Browser
from tests.support.clock import ManualClock
from tests.support.oauth import OAuthClient
from tests.support.publisher import Publisher
from tests.support.server import Running, make_template, running

# A machine that runs several things at once makes single examples slow; `max_examples` bounds the whole.
settings.register_profile("ci", deadline=None, max_examples=100, print_blob=True)
settings.load_profile("ci")

MakeServer = Callable[..., AbstractAsyncContextManager[Running]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-requirements", action="store_true", help="write docs/requirements.md from the marks")


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
async def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database as a first start leaves it."""
    return await make_template(tmp_path_factory.mktemp("template"))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def publisher() -> Publisher:
    """The hosts at which clients publish their metadata documents and keys: all that a server can reach."""
    return Publisher()


@pytest.fixture
def make_server(template: Path, tmp_path: Path, clock: ManualClock, publisher: Publisher) -> MakeServer:
    """Makes a server with an environment of its own (`async with`)."""

    def make(**env: str) -> AbstractAsyncContextManager[Running]:
        return running(template, tmp_path, env, clock, publisher.connect)

    return make


@pytest.fixture
async def server(make_server: MakeServer) -> AsyncIterator[Running]:
    """A server with the default settings."""
    async with make_server() as found:
        yield found


@pytest.fixture
async def closing() -> AsyncIterator[AsyncExitStack]:
    """Closes at the end what a test opens on the way."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def browser(server: Running) -> AsyncIterator[Browser]:
    """The owner's browser, not signed in yet."""
    found = Browser(server.url)
    yield found
    await found.close()


@pytest.fixture
async def client(server: Running) -> AsyncIterator[OAuthClient]:
    """The pre-registered public client."""
    found = OAuthClient(server)
    yield found
    await found.close()
