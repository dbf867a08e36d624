"""An attempt at a password that nobody could judge is not counted; a process that hashes and never answers is ended."""

import asyncio
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from oauth_server.core import hashers
from oauth_server.core.known_browsers import KnownBrowsers
from oauth_server.core.limits import Limits
from oauth_server.core.logins import Logins
from oauth_server.core.settings import load
from oauth_server.core.users import Users
from oauth_server.store.errors import StoreUnavailableError
from oauth_server.store.records import Session
from oauth_server.store.schema import failed_attempts
from oauth_server.store.store import Store
from tests.support.clock import ManualClock
from tests.support.secrets import FixedSecrets
from tests.support.stored import count

PASSWORD = "correct horse battery staple"
Try = Callable[[str], Awaitable[object]]


@pytest.fixture(params=["sign in", "confirm"])
async def attempt(store: Store, users: Users, clock: ManualClock, request: pytest.FixtureRequest) -> Try:
    """Somebody tries a password: where they sign in, or in a session of theirs."""
    logins = Logins(users, Limits(store, clock), KnownBrowsers(FixedSecrets(b"secret of the forms")))
    await users.create_owner(load({"MCP_OAUTH_ADMIN_PASSWORD": PASSWORD}))
    owner = await users.by_username("admin")
    assert owner is not None
    session = Session(b"session", owner, clock(), clock() + 60)
    if request.param == "sign in":
        return lambda password: logins.sign_in("admin", password)
    return lambda password: logins.confirms(session, password)


async def test_an_attempt_that_is_judged_counts(store: Store, attempt: Try) -> None:
    assert not await attempt("wrong")
    assert await store.read(count, failed_attempts) > 0


@pytest.mark.parametrize("error", [OSError("no process can run"), StoreUnavailableError("no answer"), ValueError()])
async def test_one_that_fails_does_not(
    store: Store, attempt: Try, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> Any:
        raise error

    monkeypatch.setattr(hashers, "_ask", fail)
    with pytest.raises(type(error)):
        await attempt(PASSWORD)
    assert await store.read(count, failed_attempts) == 0


async def test_where_it_cannot_be_taken_back_either_the_first_failure_is_told(
    store: Store, attempt: Try, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Any:
        async def unavailable(*_: object) -> None:
            raise StoreUnavailableError("no answer")

        monkeypatch.setattr(store, "write", unavailable)
        raise OSError("no process can run")

    monkeypatch.setattr(hashers, "_ask", fail)
    with pytest.raises(OSError, match="no process can run"):
        await attempt(PASSWORD)


@pytest.mark.parametrize("ended", ["by its scope", "as a deadline does"])
async def test_neither_does_one_whose_request_was_ended(
    store: Store, attempt: Try, monkeypatch: pytest.MonkeyPatch, ended: str
) -> None:
    asked, go = threading.Event(), threading.Event()

    def wait(*_: object) -> bool:
        asked.set()
        return go.wait(30)

    monkeypatch.setattr(hashers, "_ask", wait)

    try:
        if ended == "by its scope":
            async with anyio.create_task_group() as group:
                group.start_soon(attempt, PASSWORD)
                await asyncio.to_thread(asked.wait, 30)
                assert await store.read(count, failed_attempts) > 0
                group.cancel_scope.cancel()
        else:
            task = asyncio.ensure_future(attempt(PASSWORD))
            await asyncio.to_thread(asked.wait, 30)
            assert await store.read(count, failed_attempts) > 0
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert await store.read(count, failed_attempts) == 0
    finally:
        go.set()


async def test_a_process_that_never_answers_is_ended_and_another_one_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    command = hashers._COMMAND
    monkeypatch.setattr(hashers, "_COMMAND", (sys.executable, "-c", "import time; time.sleep(20)"))
    monkeypatch.setattr(hashers, "ANSWER_SECONDS", 0.5, raising=False)
    one = hashers.Hasher()
    began = time.monotonic()
    try:
        with pytest.raises(OSError, match="does not answer"):
            await asyncio.to_thread(one.ask, None, PASSWORD)
        assert time.monotonic() - began < 5
        assert one._process is None
        monkeypatch.undo()
        monkeypatch.setattr(hashers, "_COMMAND", command)
        known = await asyncio.to_thread(one.ask, None, PASSWORD)
        assert await asyncio.to_thread(one.ask, str(known), PASSWORD) is True
    finally:
        one.close()
