"""Failed attempts are counted one by one by whoever counts them, empty at a steady pace, and are forgotten then."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import hypothesis
import pytest
from hypothesis import strategies as st
from sqlalchemy import create_engine, insert

from oauth_server.store.records import Bucket, Full
from oauth_server.store.schema import failed_attempts as table
from oauth_server.store.schema import metadata
from oauth_server.store.store import Store
from oauth_server.store.verbs import limits
from tests.support.stored import NOW, count, rows, sha

pytestmark = pytest.mark.requirement("attack-26")

ACCOUNT = Bucket("account", sha("account"), 3, 60.0)
ADDRESS = Bucket("address", sha("address"), 5, 10.0, shared=True)
BOTH = (ACCOUNT, ADDRESS)


async def taken(store: Store, *buckets: Bucket, now: float = NOW) -> tuple[Bucket, ...] | Full:
    return await store.write(limits.take, buckets, now)


async def levels(store: Store) -> dict[bytes, float]:
    """How long from now each bucket is empty."""
    return {row["key"]: row["empty_at"] - NOW for row in await store.read(rows, table)}


async def test_attempts_are_counted_until_a_bucket_is_full_and_then_nothing_is(store: Store) -> None:
    assert [await taken(store, *BOTH) for _ in range(4)] == [(), (), (ACCOUNT,), Full(ACCOUNT, NOW + 60)]
    assert await levels(store) == {ACCOUNT.key: 180, ADDRESS.key: 30}
    assert await store.read(limits.full, BOTH, NOW) == Full(ACCOUNT, NOW + 60)
    assert await store.read(limits.full, (ADDRESS,), NOW) is None
    other = Bucket("account", sha("other"), 3, 60.0)
    assert [await taken(store, other, ADDRESS) for _ in range(3)] == [(), (ADDRESS,), Full(ADDRESS, NOW + 10)]
    assert await store.read(limits.full, BOTH, NOW) == Full(ACCOUNT, NOW + 60)  # the one that has room last
    assert await levels(store) == {ACCOUNT.key: 180, ADDRESS.key: 50, other.key: 120}


async def test_time_makes_room_for_one_at_a_time_and_saves_no_more_than_the_size(store: Store) -> None:
    for _ in range(3):
        await taken(store, ACCOUNT)
    assert await taken(store, ACCOUNT, now=NOW + 59.9) == Full(ACCOUNT, NOW + 60)
    assert await store.read(limits.full, (ACCOUNT,), NOW + 60) is None
    assert await taken(store, ACCOUNT, now=NOW + 60) == (ACCOUNT,)
    assert await taken(store, ACCOUNT, now=NOW + 60) == Full(ACCOUNT, NOW + 120)
    later = NOW + 10_000
    found = [await taken(store, ACCOUNT, now=later) for _ in range(4)]
    assert found == [(), (), (ACCOUNT,), Full(ACCOUNT, later + 60)]


async def test_a_success_empties_its_own_bucket_and_takes_one_attempt_from_a_shared_one(store: Store) -> None:
    for _ in range(2):
        await taken(store, *BOTH)
    await store.write(limits.give_back, BOTH, NOW)
    assert await levels(store) == {ADDRESS.key: 10}
    await store.write(limits.give_back, BOTH, NOW)
    assert await store.read(count, table) == 0
    await store.write(limits.give_back, BOTH, NOW)
    assert await store.read(count, table) == 0
    assert await store.write(limits.empty, ACCOUNT) is False
    await taken(store, *BOTH)
    assert await store.write(limits.empty, ACCOUNT) is True
    assert await levels(store) == {ADDRESS.key: 10}


async def test_what_has_emptied_leaves_some_at_a_time(store: Store) -> None:
    old = [{"key": sha(f"old-{n}"), "empty_at": NOW - n} for n in range(limits.FORGOTTEN_AT_ONCE + 5)]
    await store.write(lambda connection: connection.execute(insert(table), old) and None)
    await taken(store, *BOTH)
    assert await store.read(count, table) == 5 + len(BOTH)
    await taken(store, *BOTH)
    assert await store.read(count, table) == len(BOTH)


async def test_of_many_at_once_no_more_are_admitted_than_a_bucket_holds(pair: tuple[Store, Store]) -> None:
    # In either order, as two people name them who share an address: nobody waits for somebody who waits for them.
    account = Bucket("account", sha("account"), 20, 60.0)
    address = Bucket("address", sha("address"), 20, 10.0, shared=True)
    orders: Sequence[tuple[Bucket, ...]] = ((account, address), (address, account))
    found = await asyncio.gather(*(taken(pair[n % 2], *orders[n // 2 % 2]) for n in range(64)))
    admitted = [one for one in found if not isinstance(one, Full)]
    assert Counter(len(filled) for filled in admitted) == {0: 19, 2: 1}
    assert await levels(pair[0]) == {account.key: 1200, address.key: 200}


async def test_attempts_and_successes_at_once_lose_no_count(pair: tuple[Store, Store]) -> None:
    wide = [Bucket("address", sha(f"address-{n}"), 1000, 10.0, shared=True) for n in range(2)]
    # Rows that are to be forgotten meanwhile, and that others count in again.
    old = [Bucket("account", sha(f"old-{n}"), 1000, 60.0) for n in range(8)]
    emptied = [{"key": one.key, "empty_at": NOW} for one in old]
    await pair[0].write(lambda connection: connection.execute(insert(table), emptied) and None)

    async def one(n: int) -> None:
        await taken(pair[n % 2], wide[n % 2], wide[1 - n % 2], old[n % 8])
        if n % 4 == 0:
            await pair[1 - n % 2].write(limits.give_back, wide, NOW)

    await asyncio.gather(*(one(n) for n in range(64)))
    assert await levels(pair[0]) == {bucket.key: 480 for bucket in wide} | {bucket.key: 480 for bucket in old}


@hypothesis.given(st.lists(st.tuples(st.floats(0, 300, width=16), st.booleans()), max_size=60))
def test_no_window_of_time_sees_more_failures_than_the_size_and_one_for_each_interval(
    steps: list[tuple[float, bool]],
) -> None:
    engine = create_engine("sqlite://")
    metadata.create_all(engine, tables=[table])
    now, failures = NOW, []
    with engine.begin() as connection:
        for wait, succeeds in steps:
            now += wait
            full = limits.full(connection, (ACCOUNT,), now)
            outcome = limits.take(connection, (ACCOUNT,), now)
            assert full == outcome if isinstance(outcome, Full) else full is None
            if isinstance(outcome, Full):
                assert now < outcome.until <= now + ACCOUNT.interval  # nobody ever waits for longer
            elif succeeds:
                limits.give_back(connection, (ACCOUNT,), now)
                failures.clear()
            else:
                failures.append(now)
                for first in failures:
                    seen = sum(at >= first for at in failures)
                    assert seen <= ACCOUNT.size + (now - first) / ACCOUNT.interval
    engine.dispose()
