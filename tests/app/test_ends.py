"""What becomes of connections and requests that a server still has when it ends: each is answered, or closed cleanly."""

import asyncio
import signal
import socket
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
import pytest

from tests.support.databases import ENGINES, Template
from tests.support.fault_proxy import fault_proxy
from tests.support.mcp_http import call, token_for
from tests.support.outage import assert_unavailable
from tests.support.postgres import Postgres
from tests.support.program import SERVER, Program, environment, free_port, program
from tests.support.server import PASSWORD, Running, running
from tests.support.wire import FORM, head

ANSWER = b'{"status":"ok"}'


def connect(server: Running, stack: AsyncExitStack, *sent: bytes) -> socket.socket:
    found = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    stack.callback(found.close)
    for piece in sent:
        found.sendall(piece)
    return found


async def last_words(connection: socket.socket) -> bytes:
    """All that comes until the end; a reset is an error."""

    def read() -> bytes:
        found = b""
        while piece := connection.recv(65536):
            found += piece
        return found

    return await asyncio.to_thread(read)


async def test_what_was_sent_before_the_listener_closes_is_answered(template: Template, tmp_path: Path) -> None:
    whole = []
    async with AsyncExitStack() as stack:
        async with running(template, tmp_path) as server:
            state = server.server._uvicorn
            assert state is not None
            request = head(server) + b"\r\n"
            half, silent = connect(server, stack, request[:20]), connect(server, stack)
            fresh, kept = connect(server, stack), connect(server, stack, request)
            assert (await asyncio.to_thread(kept.recv, 65536)).endswith(ANSWER)
            drain = state._draining

            def at_the_end() -> None:
                """Nothing of this is read yet when the listener is closed."""
                drain()
                half.sendall(request[20:])
                fresh.sendall(request)
                kept.sendall(request)
                whole.extend([half, fresh, kept, *(connect(server, stack, request) for _ in range(50))])

            state._draining = at_the_end
        assert len(whole) == 53
        for connection in whole:
            found = await last_words(connection)
            assert found.endswith(ANSWER)
            assert b"connection: close" in found
        assert await last_words(silent) == b""


@pytest.mark.parametrize("sent", [b"", b"Content-Length: 5\r\n\r\na="], ids=["head", "body"])
async def test_half_a_request_does_not_outlast_the_drain(template: Template, tmp_path: Path, sent: bytes) -> None:
    async with AsyncExitStack() as stack:
        async with running(template, tmp_path) as server:
            half = connect(server, stack, head(server, "POST /oauth/token") + FORM + sent)
            await asyncio.sleep(0.1)
        found = await last_words(half)
        assert found.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: 5\r\n" in found
        assert b'"temporarily_unavailable"' in found


async def test_a_tool_that_is_at_work_is_cut_off_without_a_traceback(
    template: Template, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with AsyncExitStack() as stack:
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))  # it accepts nothing
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        async with running(template, tmp_path, {"MCP_OAUTH_CHECK_HOSTS": place}) as server:
            http = await stack.enter_async_context(server.client(timeout=30))
            token = await token_for(server, "mcp:read", "mcp:write", "mcp:admin")
            asked = asyncio.create_task(
                call(http, "modern", "mcp_oauth_check_compliance", token, server_url=f"http://{place}")
            )
            await asyncio.sleep(1)
            assert not asked.done()
        (outcome,) = await asyncio.gather(asked, return_exceptions=True)
    assert isinstance(outcome, httpx2.RemoteProtocolError) or outcome.status_code == 503, outcome
    assert [record for record in caplog.records if record.exc_info] == []


@pytest.fixture(params=ENGINES)
async def stuck(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Program, str]]:
    """A server as a process, and a database that stopped to answer."""
    port = free_port()
    own = {"MCP_PORT": str(port), "MCP_OAUTH_ADMIN_PASSWORD": PASSWORD}
    url = f"http://127.0.0.1:{port}"
    async with AsyncExitStack() as stack:
        if request.param == "sqlite":
            process = await stack.enter_async_context(program(*SERVER, env=environment(tmp_path, **own)))
            await process.ready(url)
            other = sqlite3.connect(tmp_path / "oauth.db", isolation_level=None)
            stack.callback(other.close)
            other.execute("BEGIN IMMEDIATE")
        else:
            postgres: Postgres = request.getfixturevalue("postgres")
            proxy = await stack.enter_async_context(fault_proxy(stack.enter_context(postgres.database())))
            env = environment(tmp_path, **own, MCP_OAUTH_DATABASE_URL=proxy.url)
            process = await stack.enter_async_context(program(*SERVER, env=env))
            await process.ready(url)
            proxy.swallow()
        yield process, url


async def test_what_waits_for_the_database_is_unavailable_when_the_server_ends(stuck: tuple[Program, str]) -> None:
    process, url = stuck
    form = {"client_id": "mcp-docker-server-default", "grant_type": "refresh_token", "refresh_token": "x" * 43}
    async with httpx2.AsyncClient(base_url=url, timeout=30) as http:
        asked = [
            asyncio.create_task(each)
            for each in (
                http.post("/oauth/register", json={"redirect_uris": ["http://localhost/cb"]}),
                http.post("/oauth/register", json={"redirect_uris": ["http://localhost/cb"]}),
                http.post("/oauth/token", data=form),
            )
        ]
        await asyncio.sleep(1)
        process.process.send_signal(signal.SIGTERM)
        *replies, last = await asyncio.gather(*asked)
    ended = await process.end(None)
    assert ended.status == 0, ended.err
    assert "Traceback" not in ended.err
    for reply in replies[:2]:
        assert_unavailable(reply)
    assert last.status_code in {503, 400}  # SQLite can be read
