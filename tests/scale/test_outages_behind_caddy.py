"""The outages of docs/reliability.md as clients see them: two replicas on one PostgreSQL that fails, and Caddy before them."""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import psycopg
import pytest

from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.outage import Witness
from tests.support.postgres import Postgres
from tests.support.site import LOOKS, Site, site_on

pytestmark = pytest.mark.skipif(shutil.which("caddy") is None, reason="caddy is not installed")
BOUND = 15.0  # seconds in which every request is answered


@dataclass
class Scene:
    """The site, its database, and what stands between them."""

    site: Site
    postgres: Postgres
    faults: FaultProxy
    witness: Witness

    async def served_from_memory(self) -> None:
        """What each replica still does: it must not depend on how long the outage lasts already."""
        for _ in range(2):
            await self.witness.tokens_verify()
            await self.witness.documents_are_served()
            await self.witness.everything_else_is_unavailable()
            await asyncio.sleep(LOOKS)

    async def refreshes(self) -> int:
        """Use the refresh token; the status."""
        reply = await self.witness.client.refresh(self.witness.tokens["refresh_token"])
        if reply.status_code == 200:
            self.witness.tokens = reply.json()
        return reply.status_code


@pytest.fixture(scope="module")
async def whole(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        faults = await stack.enter_async_context(fault_proxy(stack.enter_context(postgres.database())))
        site = await stack.enter_async_context(site_on(faults.url, tmp_path_factory.mktemp("site")))
        witness = await stack.enter_async_context(Witness.signed_in(site, site.processes))
        yield Scene(site, postgres, faults, witness)


@pytest.fixture
async def scene(whole: Scene) -> AsyncIterator[Scene]:
    """The scene as it is while nothing fails, which holds at the end too, whatever the test found."""
    yield whole
    await whole.faults.mend()
    await whole.witness.recovered()
    assert "Traceback" not in "".join(each.err for each in whole.site.replicas.programs.values())


async def test_postgresql_that_is_stopped(scene: Scene) -> None:
    await scene.faults.refuse()
    await scene.served_from_memory()
    assert scene.witness.seconds < 3


async def test_postgresql_that_is_silent(scene: Scene) -> None:
    scene.faults.swallow()
    await scene.witness.everything_else_is_unavailable()
    assert scene.witness.seconds < BOUND + 1
    await scene.served_from_memory()


async def test_postgresql_that_is_slow(scene: Scene) -> None:
    scene.faults.delay = 0.1
    await asyncio.sleep(LOOKS)
    assert await scene.refreshes() == 200
    await scene.witness.tokens_verify()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "as after a crash"])
async def test_postgresql_that_is_restarted(scene: Scene, how: signal.Signals) -> None:
    await asyncio.to_thread(scene.postgres.stop, how)
    try:
        await scene.served_from_memory()
    finally:
        await asyncio.to_thread(scene.postgres.start)
    assert await scene.witness.recovered() < 5


async def test_connections_that_are_dropped(scene: Scene) -> None:
    for _ in range(4):  # random goes to each
        scene.faults.drop()
        assert await scene.refreshes() == 200
    await scene.witness.tokens_verify()


async def test_connections_that_are_cut_before_the_commit(scene: Scene) -> None:
    scene.faults.cut_after = b"FOR UPDATE OF grants"
    assert await scene.refreshes() == 200
    assert scene.faults.cut_after == b""


async def test_connections_that_are_cut_after_the_commit(scene: Scene) -> None:
    for _ in range(10):
        scene.faults.cut_after = b"COMMIT"
        if (status := await scene.refreshes()) != 200:
            break  # before, a look for revocations met the cut
    assert status == 503
    assert await scene.refreshes() == 200


async def test_postgresql_without_a_connection_left(scene: Scene) -> None:
    taken: list[psycopg.Connection[object]] = []
    await scene.faults.refuse()
    while len(taken) < 200:
        try:
            taken.append(await asyncio.to_thread(psycopg.connect, scene.postgres.url()))
        except psycopg.OperationalError:
            break  # not even the reserve for superusers is left
    await scene.faults.listen()
    try:
        await scene.served_from_memory()
    finally:
        for connection in taken:
            connection.close()


async def test_a_primary_that_became_read_only(scene: Scene) -> None:
    name = scene.faults.url.rpartition("/")[2]
    scene.postgres.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    scene.faults.drop()
    try:
        assert await scene.refreshes() == 503
        await asyncio.sleep(LOOKS)
        assert await scene.refreshes() == 503
        await scene.witness.tokens_verify()
        await scene.witness.documents_are_served()
    finally:
        scene.postgres.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = off")
    assert await scene.refreshes() == 200
