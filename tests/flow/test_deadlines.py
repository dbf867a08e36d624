"""A request is answered in time, whatever it waits for."""

import asyncio
import json
import logging
import re
import time
from contextlib import AsyncExitStack
from urllib.parse import urlencode

import anyio
import pytest

from oauth_server.app import waiting
from oauth_server.core.clock import random_id
from oauth_server.flow import http as flow
from oauth_server.flow.deadlines import deadlines
from tests.support.oauth import OAuthClient, Pkce
from tests.support.server import Running

FORM = {"grant_type": "refresh_token", "refresh_token": "x", "client_id": "nobody"}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second for a request, from the first one on."""
    monkeypatch.setattr(flow, "ANSWER_SECONDS", 0.5)


async def hang(*_args: object, **_kwargs: object) -> None:
    await anyio.sleep_forever()


async def test_what_waits_too_long_is_answered_503_and_nothing_else_is(
    impatient: None, server: Running, client: OAuthClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = server.services.store.read
    for _ in range(2):  # the second round needs a timer of its own
        monkeypatch.setattr(server.services.store, "read", hang)
        began = time.monotonic()
        late = asyncio.gather(*(client.http.post("/oauth/token", data=FORM) for _ in range(3)))
        page = await client.http.get(client.url(Pkce.new(), client_id="nobody"))
        replies = await late
        assert 0.4 < time.monotonic() - began < 5
        assert (page.status_code, page.headers["retry-after"]) == (503, "5")
        for reply in replies:
            assert (reply.status_code, reply.json()["error"]) == (503, "temporarily_unavailable")
            assert "too busy" in reply.json()["error_description"]
        monkeypatch.setattr(server.services.store, "read", answers)
        assert (await client.http.post("/oauth/token", data=FORM)).status_code == 401


@pytest.mark.parametrize("path", ["/s/{}/account", "/s/{}/oauth/authorize", "/oauth/register/{}"])
@pytest.mark.requirement("attack-73")
async def test_the_log_has_no_secret_of_a_path_that_was_answered_too_late(
    impatient: None,
    server: Running,
    client: OAuthClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    path: str,
) -> None:
    secret = random_id()
    port = server.url.rpartition(":")[2]
    headers = {
        "Sec-Fetch-Site": "same-origin",
        "Cookie": f"mcp_session_{port}_{secret}=x.y",
        "Authorization": "Bearer x",
    }
    monkeypatch.setattr(server.services.store, "read", hang)
    reply = await client.http.get(path.format(secret), params={"client_id": "x"}, headers=headers)
    assert reply.status_code == 503
    (line,) = [record.getMessage() for record in caplog.records if "no answer within" in record.getMessage()]
    assert line.startswith(f"GET {path.format('…')}: ")
    assert secret not in caplog.text


@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/register", "/oauth/authorize"])
@pytest.mark.requirement("attack-26")
async def test_a_body_that_does_not_come_is_the_clients_fault(
    impatient: None,
    server: Running,
    closing: AsyncExitStack,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    path: str,
) -> None:
    monkeypatch.setattr(waiting, "PATIENCE", 1.0)  # longer than a request may wait for an answer
    monkeypatch.setattr(waiting, "SWEEP", 0.05)
    kind = "json" if path == "/oauth/register" else "x-www-form-urlencoded"
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    closing.callback(writer.close)
    writer.write(
        f"POST {path} HTTP/1.1\r\nHost: localhost:{server.port}\r\nContent-Type: application/{kind}\r\n"
        "Content-Length: 100\r\n\r\na=".encode()
    )
    head, _, body = (await asyncio.wait_for(reader.read(), 10)).partition(b"\r\n\r\n")
    assert time.monotonic() - began >= 1
    assert head.startswith(b"HTTP/1.1 408 "), head
    assert b"\r\nconnection: close" in head
    assert json.loads(body)["error"] == "invalid_request"
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.requirement("attack-26")
async def test_the_time_for_an_answer_begins_when_the_body_is_whole(
    impatient: None, server: Running, closing: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = urlencode(FORM).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    closing.callback(writer.close)

    async def answered() -> bytes:
        head = f"POST /oauth/token HTTP/1.1\r\nHost: localhost:{server.port}\r\nContent-Length: {len(form)}\r\n"
        writer.write(head.encode() + b"Content-Type: application/x-www-form-urlencoded\r\n\r\n")
        for piece in (form[:5], form[5:10], form[10:]):
            await asyncio.sleep(0.3)
            writer.write(piece)
        found = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        length = re.search(rb"content-length: (\d+)", found)
        assert length is not None
        await reader.readexactly(int(length[1]))
        return found

    assert (await answered()).startswith(b"HTTP/1.1 401 ")
    monkeypatch.setattr(server.services.store, "read", hang)
    began = time.monotonic()
    assert (await answered()).startswith(b"HTTP/1.1 503 ")
    assert time.monotonic() - began > 0.9 + 0.4


async def test_who_is_cancelled_for_another_reason_is_not_late() -> None:
    task = asyncio.current_task()
    assert task is not None
    deadlines().begin(task, 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.sleep(1)
    assert not deadlines().end(task)
    assert task.uncancel() == 0
