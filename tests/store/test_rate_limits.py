"""Buckets in memory: so many and no more, room again in time, bounded, and added up between processes."""

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_server.core import rate_limits
from oauth_server.core.errors import RateLimitedError
from oauth_server.core.policies import Policy
from oauth_server.core.rate_limits import RateLimits
from oauth_server.store.errors import StoreUnavailableError
from oauth_server.store.schema import failed_attempts
from oauth_server.store.store import Store
from tests.support.clock import ManualClock
from tests.support.stored import count

pytestmark = pytest.mark.requirement("attack-26")

TEN = Policy("ten", 10, 60)


def taken(limits: RateLimits, number: int, key: str = "k", policy: Policy = TEN) -> int:
    """How many of so many requests are admitted."""
    admitted = 0
    for _ in range(number):
        try:
            limits.take(policy, key)
        except RateLimitedError:
            continue
        admitted += 1
    return admitted


async def failing(*_: object) -> None:
    raise StoreUnavailableError("it is gone")


def test_a_bucket_admits_its_quota_and_then_one_each_interval(sqlite_store: Store) -> None:
    clock = ManualClock()
    limits = RateLimits(sqlite_store, clock)
    assert taken(limits, 15) == 10
    assert taken(limits, 15, "other") == 10
    with pytest.raises(RateLimitedError) as refused:
        limits.admit(TEN, "k")
    assert refused.value.headers() == {
        "Retry-After": "6",
        "RateLimit-Policy": '"ten";q=10;w=60',
        "RateLimit": '"ten";r=0;t=6',
    }
    assert refused.value.description == "Too many requests; try again in 6 seconds."
    clock.advance(5.5)
    assert taken(limits, 1) == 0
    clock.advance(0.5)
    assert taken(limits, 5) == 1
    clock.advance(60)
    assert taken(limits, 15) == 10


def test_counting_beyond_the_quota_delays_nobody(sqlite_store: Store) -> None:
    clock = ManualClock()
    limits = RateLimits(sqlite_store, clock)
    for _ in range(1000):
        limits.count(TEN, "k")
    clock.advance(6)
    limits.admit(TEN, "k")


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(0, 15)), max_size=20))
def test_no_window_admits_more_than_a_quota_and_what_leaks_in_it(steps: list[tuple[float, int]]) -> None:
    clock, admitted = ManualClock(), []
    limits = RateLimits(None, clock)  # type: ignore[arg-type] # nothing is reconciled
    for pause, number in steps:
        clock.advance(pause)
        admitted += [clock.now] * taken(limits, number)
    for start in admitted:
        for end in (at for at in admitted if at >= start):
            inside = sum(start <= at <= end for at in admitted)
            assert inside <= 10 + (end - start) / 6 + 1e-6


def test_memory_is_bounded_however_many_addresses_come(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "MOST", 100)
    limits = RateLimits(sqlite_store, ManualClock())
    assert taken(limits, 15, "first") == 10
    for number in range(1000):
        for _ in range(5):  # enough to be hot
            limits.count(TEN, f"k{number}")
    assert (len(limits._buckets), len(limits._hot)) == (100, 100)
    assert taken(limits, 15, "first") == 10  # forgotten: the one that was counted in longest ago
    assert taken(limits, 15, "k999") == 5


async def test_processes_go_by_the_sum_of_what_they_counted(pair: tuple[Store, Store]) -> None:
    clock = ManualClock()
    one, other = (RateLimits(store, clock) for store in pair)
    assert (taken(one, 6), taken(other, 6)) == (6, 6)
    await one.reconcile()
    await other.reconcile()
    assert taken(other, 1) == 0
    assert taken(one, 1) == 1  # it has not heard yet
    await one.reconcile()
    clock.advance(6)
    assert (taken(one, 1), taken(other, 1)) == (0, 0)
    clock.advance(18)
    assert taken(one, 3) + taken(other, 3) > 0


async def test_many_processes_reconcile_at_once(pair: tuple[Store, Store]) -> None:
    clock = ManualClock()
    processes = [RateLimits(pair[n % 2], clock) for n in range(8)]
    keys = [f"k{n}" for n in range(20)]
    for process in processes:
        for key in keys:
            assert taken(process, 4, key) == 4
    await asyncio.gather(*(process.reconcile() for process in processes))
    # In some order each learned what those before it counted: 4, 8, and from the third on more than there is room for.
    assert sum(taken(process, 1, key) for process in processes for key in keys) == 2 * len(keys)
    await asyncio.gather(*(process.reconcile() for process in processes))
    assert sum(taken(process, 1, key) for process in processes for key in keys) == 0
    assert await pair[0].read(count, failed_attempts) == len(keys)


async def test_quiet_traffic_writes_nothing_and_what_was_written_leaves(store: Store) -> None:
    clock = ManualClock()
    limits = RateLimits(store, clock)
    for number in range(500):
        assert taken(limits, 2, f"k{number}") == 2
    await limits.reconcile()
    assert await store.read(count, failed_attempts) == 0
    taken(limits, 8)
    await limits.reconcile()
    assert await store.read(count, failed_attempts) == 1
    written: list[object] = []
    limits._store = _Counting(store, written)  # type: ignore[assignment]
    assert taken(limits, 100) == 2
    await limits.reconcile()
    assert len(written) == 1
    taken(limits, 100)  # refused, every one
    await limits.reconcile()
    assert len(written) == 1
    clock.advance(61)
    await limits.reconcile()
    assert not limits._buckets
    taken(limits, 8, "another")
    await limits.reconcile()
    assert await store.read(count, failed_attempts) == 1


async def test_without_the_store_each_process_counts_by_itself_and_nothing_is_lost(pair: tuple[Store, Store]) -> None:
    clock = ManualClock()
    one, other = (RateLimits(store, clock) for store in pair)
    assert taken(one, 6) == 6
    one._store = _Failing()  # type: ignore[assignment]
    with pytest.raises(StoreUnavailableError):
        await one.reconcile()
    assert taken(one, 6) == 4
    one._store = pair[0]
    await one.reconcile()
    assert taken(other, 3) == 3
    await other.reconcile()
    assert taken(other, 1) == 0


async def test_an_outage_is_said_once_and_survived(sqlite_store: Store, caplog: pytest.LogCaptureFixture) -> None:
    limits, rounds = RateLimits(sqlite_store, ManualClock()), 0

    async def sleep(seconds: float) -> None:
        nonlocal rounds
        assert seconds == 1
        rounds += 1
        taken(limits, 4, f"k{rounds}")
        limits._store = sqlite_store if rounds == 4 else _Failing()  # type: ignore[assignment]
        if rounds > 6:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await limits.run(sleep)
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]  # before the fourth, and after


async def test_what_the_store_refused_is_refused_until_then(sqlite_store: Store) -> None:
    clock = ManualClock()
    limits = RateLimits(sqlite_store, clock)
    limits.fill(TEN, "k", clock.now + 33)
    with pytest.raises(RateLimitedError) as refused:
        limits.take(TEN, "k")
    assert refused.value.retry_after == 33
    clock.advance(33)
    assert taken(limits, 2) == 1


class _Failing:
    write: Callable[..., object] = staticmethod(failing)


class _Counting:
    def __init__(self, store: Store, written: list[object]) -> None:
        self._store = store
        self._written = written

    async def write(self, *args: object) -> object:
        self._written.append(args)
        return await self._store.write(*args)  # type: ignore[arg-type]
