"""A server on a PostgreSQL behind a proxy that fails on demand, and somebody who watches."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from tests.store.conftest import empty_database, sqlite_store, store
from tests.support.clock import ManualClock
from tests.support.databases import Template
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.outage import Witness
from tests.support.postgres import Postgres
from tests.support.server import Running, running

__all__ = ["empty_database", "sqlite_store", "store"]


@dataclass
class Scene:
    """A server, its database and what stands between them."""

    server: Running
    postgres: Postgres
    proxy: FaultProxy
    witness: Witness
    steady: ManualClock


@pytest.fixture
async def scene(whole: Scene) -> AsyncIterator[Scene]:
    """The scene as it is while nothing fails, which holds at the end too, whatever the test found."""
    yield whole
    await whole.proxy.mend()
    await whole.witness.recovered()


@pytest.fixture(scope="module")
async def whole(
    postgres: Postgres, template: Template, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Scene]:
    """One for all tests of a module: each leaves it as it was, which is what they are about."""
    steady = ManualClock(0.0)
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(fault_proxy(stack.enter_context(postgres.database())))
        folder, env = tmp_path_factory.mktemp("scene"), {"MCP_OAUTH_DATABASE_URL": proxy.url}
        server = await stack.enter_async_context(running(template, folder, env, steady_clock=steady))
        witness = await stack.enter_async_context(Witness.signed_in(server))
        yield Scene(server, postgres, proxy, witness, steady)
