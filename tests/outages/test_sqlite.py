"""SQLite on a disk that is full or refuses to write, locked by somebody else, gone or replaced."""

import asyncio
import resource
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import pytest
from sqlalchemy import Connection

from oauth_server.core.revocation import STUCK_SECONDS
from oauth_server.store import store as store_module
from tests.support.clock import ManualClock
from tests.support.databases import Template
from tests.support.oauth import CALLBACK
from tests.support.outage import Witness, assert_unavailable
from tests.support.program import SERVER, environment, free_port, program
from tests.support.server import PASSWORD, Running, running

pytestmark = pytest.mark.sqlite("faults of a file")


@pytest.fixture
async def witness(server: Running) -> AsyncIterator[Witness]:
    async with Witness.signed_in(server) as found:
        yield found


async def refused(witness: Witness, *, within: float) -> None:
    """What writes is unavailable, soon; what reads goes on, and tokens verify."""
    http, form = witness.client.http, {"client_id": witness.client.client_id}
    refresh = {"grant_type": "refresh_token", "refresh_token": witness.tokens["refresh_token"], **form}
    began = time.monotonic()
    replies = await asyncio.gather(
        http.post("/oauth/token", data=refresh),
        http.post("/oauth/register", json={"redirect_uris": [CALLBACK], "client_name": "refused"}),
        http.post("/oauth/revoke", data={"token": witness.tokens["access_token"], **form}),
    )
    assert time.monotonic() - began < within
    for reply in replies:
        assert_unavailable(reply)
    assert (await http.get("/oauth/userinfo", headers=witness.bearer)).status_code == 200
    await witness.tokens_verify()
    assert (await http.get("/healthz")).status_code == 200
    ready = await http.get("/readyz")
    assert (ready.status_code, ready.json()["store"]) == (503, "not writable")


def names(database: Path) -> list[str]:
    """The clients in a database file, as another process reads it."""
    with sqlite3.connect(database) as connection:
        found = [row[0] for row in connection.execute("SELECT name FROM clients")]
    connection.close()
    return found


async def test_a_full_disk_refuses_what_writes_and_nothing_else(server: Running, witness: Witness) -> None:
    def limit(connection: Connection, pages: int) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}").close()

    await server.services.store.write(limit, 1)  # no page more than there are
    http = witness.client.http
    outcomes = [
        (await http.post("/oauth/register", json={"redirect_uris": [f"http://localhost/{n}"], "client_name": f"c{n}"}))
        for n in range(60)
    ]
    full = [reply for reply in outcomes if reply.status_code != 201]
    assert full
    for reply in full:
        assert_unavailable(reply)
    # Exactly what was acknowledged is there.
    registered = {f"c{n}" for n, reply in enumerate(outcomes) if reply.status_code == 201}
    assert {name for name in names(server.database) if name.startswith("c")} == registered
    await witness.tokens_verify()
    assert (await http.get("/oauth/userinfo", headers=witness.bearer)).status_code == 200
    assert (await http.get("/healthz")).status_code == 200
    await server.services.store.write(limit, 2**30)
    await witness.recovered()


async def test_a_disk_that_refuses_every_write_is_waited_for_by_the_process(tmp_path: Path) -> None:
    port = free_port()
    env = environment(tmp_path, MCP_PORT=str(port), MCP_OAUTH_ADMIN_PASSWORD=PASSWORD)
    async with program(*SERVER, env=env) as process, AsyncExitStack() as stack:
        url = f"http://localhost:{port}"
        await process.ready(url)
        server = Running(url, port, ManualClock(), None, f"sqlite:///{tmp_path}/oauth.db")
        witness = await stack.enter_async_context(Witness.signed_in(server))
        pid, before = process.process.pid, resource.prlimit(process.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, before[1]))
        await refused(witness, within=5)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
        # The refresh token that was refused as unavailable is as good as before.
        await witness.recovered()
        assert "refused" not in names(server.database)
        assert (await process.end()).status == 0


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seconds for a use of the store, from the first one on."""
    monkeypatch.setattr(store_module, "ANSWER_SECONDS", 2.0)


async def test_a_database_locked_by_somebody_else_is_not_waited_for_by_everybody(
    impatient: None, server: Running, witness: Witness
) -> None:
    with sqlite3.connect(server.database, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        await refused(witness, within=6)
        began = time.monotonic()
        assert_unavailable(await witness.client.refresh(witness.tokens["refresh_token"]))
        assert time.monotonic() - began < 1
        other.execute("ROLLBACK")
    other.close()
    await witness.recovered()
    # What was refused while it waited did not happen later.
    assert "refused" not in names(server.database)


async def test_a_database_file_that_is_gone_or_replaced_takes_no_more_writes(
    server: Running, witness: Witness, tmp_path: Path
) -> None:
    aside = tmp_path / "aside.db"
    server.database.rename(aside)
    assert await witness.health() == (200, 503)  # it may come back
    await witness.everything_else_is_unavailable()
    await witness.tokens_verify()
    shutil.copy(aside, server.database)
    live = await witness.client.http.get("/healthz")
    assert (live.status_code, live.json()["reason"]) == (503, "the database file was replaced")
    await witness.everything_else_is_unavailable()
    aside.rename(server.database)
    assert await witness.health() == (200, 200)
    await witness.recovered()


async def test_a_process_that_only_a_new_start_can_mend_is_not_alive(template: Template, tmp_path: Path) -> None:
    steady = ManualClock(0.0)
    async with running(template, tmp_path, steady_clock=steady) as server, server.client() as http:
        assert (await http.get("/healthz")).json() == {"status": "ok"}
        server.services.revoked.refresh = anyio.sleep_forever  # a look that never ends
        await asyncio.sleep(0.6)
        steady.advance(STUCK_SECONDS + 1)
        live = await http.get("/healthz")
        assert (live.status_code, live.json()["reason"]) == (503, "the revocations are not looked for any more")


async def test_a_process_without_its_writer_is_not_alive(server: Running) -> None:
    writer = server.services.store._writer
    writer._due.put(None)
    await asyncio.to_thread(writer._thread.join)
    async with server.client() as http:
        live = await http.get("/healthz")
        assert (live.status_code, live.json()["reason"]) == (503, "the thread that writes has ended")
        route = await http.get("/routez")
        assert (route.status_code, route.json()) == (503, live.json())
