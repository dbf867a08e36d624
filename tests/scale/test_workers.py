"""`--workers N` as an operator lives with it: one address, workers that come and go, one end."""

import asyncio
import os
import re
import signal
import socket
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import anyio
import httpx2
import psutil

from oauth_server.store.migrate import HEAD
from tests.moving.test_copy import sql
from tests.support.journey import Alternating, journey_in_turn
from tests.support.program import SERVER, Program, environment, program
from tests.support.replicas import WorkersInTurn, workers_of
from tests.support.server import PASSWORD


@asynccontextmanager
async def two_workers(folder: Path, port: int = 0, **env: str) -> AsyncIterator[tuple[Program, str, list[int]]]:
    """The program with two workers that serve; their parent, the URL and their process ids."""
    values = environment(folder, MCP_OAUTH_ADMIN_PASSWORD=PASSWORD, **env)
    async with program(*SERVER, "--port", str(port), "--workers", "2", env=values) as parent:
        url = (await parent.said(r"MCP endpoint  (http://localhost:\d+)/mcp"))[1]
        yield parent, url, await serving(parent, url)


async def serving(parent: Program, url: str, count: int = 2) -> list[int]:
    """The process ids of the workers, once each of them answers."""
    await until(lambda: len(workers_of(parent)) == count)
    workers = workers_of(parent)
    way = WorkersInTurn(int(url.rpartition(":")[2]), workers)
    async with httpx2.AsyncClient(base_url=url, transport=way, timeout=30) as http:
        for _ in workers:
            assert (await http.get("/healthz")).status_code == 200
    return workers


async def until(true: Callable[[], bool], seconds: float = 30) -> None:
    with anyio.fail_after(seconds):
        while not true():  # noqa: ASYNC110 - what is waited for happens in another process
            await anyio.sleep(0.05)


async def answers(url: str) -> int:
    """The status that a new connection gets."""
    async with httpx2.AsyncClient(timeout=20) as http:
        return (await http.get(f"{url}/readyz")).status_code


async def test_each_answers_the_steps_of_the_other_and_one_that_dies_is_replaced_meanwhile(tmp_path: Path) -> None:
    async with two_workers(tmp_path) as (parent, url, workers):
        await journey_in_turn(Alternating(url, WorkersInTurn(int(url.rpartition(":")[2]), workers)))
        os.kill(workers[0], signal.SIGKILL)
        replacing = asyncio.create_task(serving(parent, url))
        seen = [await answers(url)]
        while not replacing.done():
            seen.append(await answers(url))
        assert set(seen) == {200}
        assert set(await replacing) - set(workers)
        assert f"worker {workers[0]} ended (signal 9); another one takes its place" in parent.err
        assert workers[1] in workers_of(parent)
        ended = await parent.end()
    assert (ended.status, "Traceback" in ended.err, ended.err.count("MCP endpoint")) == (0, False, 1)


async def test_one_that_cannot_start_is_tried_again_each_three_seconds_and_leaves_the_other_alone(
    tmp_path: Path,
) -> None:
    database = f"sqlite:///{tmp_path}/oauth.db"
    async with two_workers(tmp_path) as (parent, url, workers):
        # As a newer program leaves it: no reason to stop for whoever runs, and no database to start on.
        sql(database, "UPDATE alembic_version SET version_num = '9999'")
        os.kill(workers[0], signal.SIGKILL)
        await parent.said(r"(?s)(ended \(status 2\).*){2}")
        assert await answers(url) == 200
        assert workers[1] in workers_of(parent)
        sql(database, f"UPDATE alembic_version SET version_num = '{HEAD}'")  # noqa: S608 - a constant
        await serving(parent, url)
        ended = await parent.end()
    assert ended.status == 0
    assert "Traceback" not in ended.err
    at = re.findall(r"^(\S+ \S+),\d+ WARNING .* ended \(status 2\)", ended.err, re.MULTILINE)
    times = [datetime.fromisoformat(text).timestamp() for text in at]
    assert min(late - early for early, late in pairwise(times)) >= 2  # whole seconds, 3 apart
    assert ended.err.count("MCP_OAUTH_DATABASE_URL: ") == len(at)


async def test_workers_end_when_their_parent_is_killed_and_leave_the_port(tmp_path: Path) -> None:
    async with two_workers(tmp_path) as (parent, url, workers):
        os.kill(parent.process.pid, signal.SIGKILL)
        await parent.process.wait()
        await until(lambda: not any(psutil.pid_exists(pid) for pid in workers), 15)
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", int(url.rpartition(":")[2])))
        again.listen()


async def test_sigterm_lets_the_workers_finish_what_they_answer(tmp_path: Path) -> None:
    async with two_workers(tmp_path) as (parent, url, _):
        other = sqlite3.connect(tmp_path / "oauth.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")  # both have to wait for whoever writes
        async with httpx2.AsyncClient(base_url=url, timeout=20) as http:
            body = {"client_name": "Waiting", "redirect_uris": ["http://localhost/cb"]}
            requests = [
                asyncio.create_task(http.post("/oauth/register", json=body | {"client_uri": f"https://{n}.example"}))
                for n in range(4)
            ]
            await until(lambda: len(connections(parent)) >= 4)
            await anyio.sleep(0.3)  # until they are read, which nobody sees from outside
            parent.process.send_signal(signal.SIGTERM)
            await until(lambda: not listening(int(url.rpartition(":")[2])))
            assert parent.process.returncode is None
            other.execute("ROLLBACK")
            other.close()
            replies = await asyncio.gather(*requests)
        assert [reply.status_code for reply in replies] == [201] * 4
        ended = await parent.end(None)
    assert (ended.status, "Traceback" in ended.err) == (0, False)


def connections(parent: Program) -> list[object]:
    """What clients have open."""
    found = [c for pid in workers_of(parent) for c in psutil.Process(pid).net_connections("tcp")]
    return [c for c in found if c.status == psutil.CONN_ESTABLISHED]


def listening(port: int) -> bool:
    """Whether anybody accepts connections."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_ctrl_c_on_the_terminal_while_workers_start_ends_all_without_a_word(tmp_path: Path) -> None:
    env = environment(tmp_path, MCP_OAUTH_ADMIN_PASSWORD=PASSWORD)
    async with program(*SERVER, "--port", "0", "--workers", "2", env=env) as parent:
        await parent.said("MCP endpoint")
        await until(lambda: len(workers_of(parent)) == 2)
        os.killpg(parent.process.pid, signal.SIGINT)
        began = time.monotonic()
        ended = await parent.end(None)
    assert ended.status == 0
    assert time.monotonic() - began < 10
    assert "Traceback" not in ended.err
    assert "KeyboardInterrupt" not in ended.err
