"""What goes on for as long as a process serves: no failure ends it, and its end fails nothing else."""

import asyncio
import logging

import pytest

from oauth_server.app.compose import _in_background
from oauth_server.core.refusals import WINDOW, Refusals
from oauth_server.store.errors import StoreUnavailableError
from oauth_server.store.store import Store
from tests.support.clock import ManualClock


async def test_refusals_are_told_after_any_failure_which_is_told_once(
    sqlite_store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logging.getLogger("oauth_server"), "propagate", True)
    refusals = Refusals(sqlite_store, clock)
    failures = iter([StoreUnavailableError("no answer"), ValueError("of a verb"), None, ValueError("another")])
    tries = []

    async def tell() -> None:
        tries.append(1)
        error = next(failures)
        if error is not None:
            raise error

    async def sleep(seconds: float) -> None:
        assert seconds == WINDOW
        if len(tries) == 4:
            raise asyncio.CancelledError

    monkeypatch.setattr(refusals, "tell_if_over", tell)
    with pytest.raises(asyncio.CancelledError):
        await refusals.run(sleep=sleep)
    told = [(record.levelname, record.message) for record in caplog.records]
    assert told == [
        ("WARNING", "refused attempts were not recorded: no answer"),
        ("ERROR", "refused attempts were not recorded: another"),
    ]


async def test_a_job_that_ended_keeps_no_other_from_being_ended(caplog: pytest.LogCaptureFixture) -> None:
    ended = []

    async def fails() -> None:
        raise ValueError("nobody foresaw it")

    async def goes_on(name: str) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(name)

    async with _in_background([goes_on("before"), fails(), goes_on("after")]):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert ended == ["before", "after"]
    (told,) = caplog.records
    assert (told.levelname, told.exc_info is not None) == ("ERROR", True)
    assert "nobody foresaw it" in caplog.text
