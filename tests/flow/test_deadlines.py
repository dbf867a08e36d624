"""A request is answered in time, whatever it waits for."""

import asyncio
import time

import anyio
import pytest

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


async def test_who_is_cancelled_for_another_reason_is_not_late() -> None:
    task = asyncio.current_task()
    assert task is not None
    deadlines().begin(task, 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.sleep(1)
    assert not deadlines().end(task)
    assert task.uncancel() == 0
