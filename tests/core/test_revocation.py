"""The revocation filter: no false negative, a bounded memory, and the time of issue decides."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from oauth_server.core import revocation
from oauth_server.core.revocation import RevocationFilter
from oauth_server.store.errors import StoreUnavailableError
from oauth_server.store.records import Revocation
from oauth_server.store.store import Store
from oauth_server.store.verbs import revocations
from tests.support.clock import ManualClock


@pytest.fixture
def steady() -> ManualClock:
    return ManualClock(1000.0)


@pytest.fixture
async def found(store: Store, clock: ManualClock, steady: ManualClock) -> RevocationFilter:
    made = RevocationFilter(store, clock, steady)
    await made.refresh()
    return made


async def announce(store: Store, clock: ManualClock, *entries: tuple[str, str], lifetime: float = 100) -> None:
    """Revoke these now."""
    await store.write(
        revocations.revoke,
        [Revocation(kind, value, clock(), clock() + lifetime) for kind, value in entries],  # type: ignore[arg-type]
    )


@asynccontextmanager
async def polling(found: RevocationFilter) -> AsyncIterator[None]:
    """Let it poll."""
    task = asyncio.create_task(found.poll())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def until(true: Callable[[], bool]) -> None:
    """Wait until it is, for ten seconds at most."""
    for _ in range(1000):
        if true():
            return
        await asyncio.sleep(0.01)
    assert true()


@pytest.mark.requirement("attack-64")
@pytest.mark.parametrize("kind", ["token", "grant", "user", "client"])
async def test_what_was_revoked_is_suspected_after_a_refresh_and_confirmed_by_the_store(
    store: Store, clock: ManualClock, found: RevocationFilter, kind: str
) -> None:
    entries = (("token", "x"), ("grant", "x"), ("user", "x"), ("client", "x"))
    assert not found.suspects(entries)
    await announce(store, clock, (kind, "x"))
    await found.refresh()
    assert found.suspects(entries)
    others = tuple(entry for entry in entries if entry[0] != kind)
    assert not found.suspects(others)
    assert await found.confirmed(entries, clock() - 1)
    assert not await found.confirmed(others, clock() - 1)


@pytest.mark.requirement("attack-64")
@pytest.mark.parametrize(("issued", "revoked"), [(-1, True), (0, True), (1, False)])
async def test_only_tokens_issued_up_to_the_revocation_end(
    store: Store, clock: ManualClock, found: RevocationFilter, issued: float, revoked: bool
) -> None:
    await announce(store, clock, ("user", "u"))
    await found.refresh()
    assert await found.confirmed((("user", "u"),), clock() + issued) is revoked


async def test_expired_entries_are_forgotten(
    store: Store,
    clock: ManualClock,
    steady: ManualClock,
    found: RevocationFilter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in range(100):
        await announce(store, clock, ("token", f"t{number}"), lifetime=10 if number else 1000)
    await found.refresh()
    assert len(found._entries) == 100
    for passing in (clock, steady):
        passing.advance(11 + revocation.SET_BACK)
    monkeypatch.setattr(revocation, "POLL_SECONDS", 0.001)
    async with polling(found):
        await until(lambda: len(found._entries) == 1)
    assert found.suspects((("token", "t0"),))
    assert not found.suspects((("token", "t1"),))


async def test_entries_that_expired_before_the_start_are_never_taken_in(store: Store, clock: ManualClock) -> None:
    await announce(store, clock, ("token", "old"), lifetime=10)
    await announce(store, clock, ("token", "new"), lifetime=11 + 2 * revocation.SET_BACK)
    clock.advance(11 + revocation.SET_BACK)
    late = RevocationFilter(store, clock)
    await late.refresh()
    assert len(late._entries) == 1
    assert late.suspects((("token", "new"),))


async def test_listeners_hear_of_a_change_once_and_of_nothing_else(
    store: Store, clock: ManualClock, found: RevocationFilter
) -> None:
    heard: list[int] = []
    found.on_change(lambda: heard.append(1))
    await found.refresh()
    assert heard == []
    await announce(store, clock, ("user", "u"), ("client", "c"))
    await found.refresh()
    await found.refresh()
    assert heard == [1]
    await store.write(revocations.bump)  # a change that revokes nothing, such as a new ceiling
    await found.refresh()
    assert heard == [1, 1]


async def test_an_unreachable_store_is_waited_for_and_named_once(
    store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Unreachable(RevocationFilter):
        failures = 3

        async def refresh(self) -> None:
            if self.failures:
                self.failures -= 1
                raise StoreUnavailableError("no answer")
            await super().refresh()

    made = Unreachable(store, clock)
    await announce(store, clock, ("grant", "g"))
    monkeypatch.setattr(revocation, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(logging.getLogger("oauth_server"), "propagate", True)
    async with polling(made):
        await until(lambda: not made.suspects((("grant", "other"),)))
    assert made.suspects((("grant", "g"),))
    assert caplog.text.count("the revocations cannot be read: no answer") == 1


@pytest.mark.requirement("attack-64")
async def test_until_all_is_read_everything_is_suspect_and_the_store_decides(
    store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocation, "PAGE", 10)
    await announce(store, clock, *(("grant", f"g{number}") for number in range(15)))  # one epoch, more than a page
    for number in range(15):
        await announce(store, clock, ("token", f"t{number}"))
    good, ended = (("grant", "good"),), (("token", "t14"),)
    made = RevocationFilter(store, clock)
    assert made.suspects(good)
    for _ in range(2):
        await made.refresh()
        assert made.suspects(good)
        assert not await made.confirmed(good, clock() - 1)
        assert await made.confirmed(ended, clock() - 1)
    async with polling(made):  # it does not rest while there is more, so this takes no second
        await until(lambda: not made.suspects(good))
    assert len(made._entries) == 30
    for number in range(15):
        assert made.suspects((("grant", f"g{number}"),))
        assert made.suspects((("token", f"t{number}"),))


async def behind(store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> RevocationFilter:
    """A filter that has thirty revocations to read, four at a time."""
    monkeypatch.setattr(revocation, "PAGE", 4)
    await announce(store, clock, *(("grant", f"g{number}") for number in range(30)))
    return RevocationFilter(store, clock)


async def test_looks_that_overlap_lose_nothing_and_end(
    store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await behind(store, clock, monkeypatch)
    for _ in range(8):
        await asyncio.gather(*(made.refresh() for _ in range(3)))
    assert not made.suspects((("grant", "good"),))
    assert all(made.suspects((("grant", f"g{number}"),)) for number in range(30))


@pytest.mark.requirement("attack-64")
async def test_what_cannot_be_read_leaves_everything_suspect(
    store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await behind(store, clock, monkeypatch)
    await made.refresh()

    async def fail(*_: object) -> None:
        raise StoreUnavailableError("no answer")

    monkeypatch.setattr(store, "read", fail)
    with pytest.raises(StoreUnavailableError):
        await made.refresh()
    assert made.suspects((("grant", "good"),))


@pytest.mark.requirement("attack-64")
async def test_a_look_that_ends_late_does_not_hide_what_another_has_yet_to_read(
    store: Store, clock: ManualClock, found: RevocationFilter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocation, "PAGE", 4)
    await announce(store, clock, ("grant", "first"))
    read, has_read, may_end = store.read, asyncio.Event(), asyncio.Event()

    async def late(*args: Any) -> Any:
        answer = await read(*args)
        has_read.set()
        await may_end.wait()
        return answer

    monkeypatch.setattr(store, "read", late)
    slow = asyncio.create_task(found.refresh())
    await has_read.wait()
    monkeypatch.setattr(store, "read", read)
    await announce(store, clock, *(("token", f"t{number}") for number in range(10)))
    await found.refresh()
    assert found.suspects((("token", "t9"),))
    may_end.set()
    await slow
    assert found.suspects((("token", "t9"),))


@pytest.mark.requirement("attack-64")
async def test_where_the_clock_was_set_back_what_ended_by_the_other_clock_is_read_anew(
    store: Store, clock: ManualClock, steady: ManualClock, found: RevocationFilter
) -> None:
    entry = ("token", "t")
    await announce(store, clock, entry, lifetime=3600)
    await found.refresh()
    clock.advance(-1800)
    for passed in range(0, 5340, 60):
        for passing in (clock, steady):
            passing.advance(60 if passed else 0)
        await found.refresh()
        found._entries.forget(steady())
        assert found.suspects((entry,)), passed
        if passed:  # the look after the one that noticed has read it all
            assert not found.suspects((("token", "other"),))
    for passing in (clock, steady):
        passing.advance(120 + revocation.SET_BACK)
    found._entries.forget(steady())
    assert not found.suspects((entry,))


@pytest.mark.requirement("attack-64")
async def test_where_the_clock_was_set_back_a_little_nothing_is_forgotten(
    store: Store, clock: ManualClock, steady: ManualClock, found: RevocationFilter
) -> None:
    entry = ("token", "t")
    await announce(store, clock, entry, lifetime=100)
    await found.refresh()
    for _ in range(6):  # each of them is too little to be noticed
        clock.advance(-revocation.SET_BACK / 6)
        await found.refresh()
    for passing in (clock, steady):
        passing.advance(99 + revocation.SET_BACK)
    found._entries.forget(steady())
    assert found.suspects((entry,))


@pytest.mark.requirement("attack-64")
async def test_keys_that_cannot_be_loaded_keep_no_revocation_back_and_are_loaded_by_the_next_look(
    store: Store, clock: ManualClock, steady: ManualClock, found: RevocationFilter
) -> None:
    heard: list[str] = []

    async def reload() -> None:
        heard.append("keys")
        if heard.count("keys") < 3:
            raise StoreUnavailableError("no answer")

    found.on_key_change(reload)
    found.on_change(lambda: heard.append("change"))
    await announce(store, clock, ("token", "t"), ("keys", ""))
    for _ in range(2):
        steady.advance(10)
        with pytest.raises(StoreUnavailableError):
            await found.refresh()
        assert found.suspects((("token", "t"),))
        assert not found.suspects((("token", "other"),))
    assert found.age == 20  # what a retired key signed must not count for longer than it may
    await found.refresh()
    assert found.age == 0
    await found.refresh()
    assert heard == ["change", "keys", "keys", "keys"]
