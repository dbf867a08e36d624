"""Assertions are taken once, by whichever process; introspected refresh tokens are those that can be used."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from oauth_server.store.records import LiveRefresh, NewRefresh
from oauth_server.store.schema import assertions as table
from oauth_server.store.schema import clients as clients_table
from oauth_server.store.store import Store
from oauth_server.store.verbs import assertions, clients, grants, introspection, users
from tests.support.stored import NOW, client, count, granted, people, rotate, rows, sha


@pytest.mark.requirement("attack-42")
async def test_of_many_that_bring_one_assertion_at_once_one_is_let_in(store: Store, empty_database: str) -> None:
    other = Store(empty_database)
    try:
        tries = ((store, other)[n % 2].write(assertions.accept, sha("a"), NOW + 60, NOW) for n in range(32))
        assert Counter(await asyncio.gather(*tries)) == {True: 1, False: 31}
        assert not await other.write(assertions.accept, sha("a"), NOW + 60, NOW)
    finally:
        other.close()


@pytest.mark.requirement("attack-42")
async def test_an_assertion_is_remembered_to_its_end_and_then_forgotten(store: Store) -> None:
    for number in range(5):
        assert await store.write(assertions.accept, sha(f"a{number}"), NOW + number, NOW - 1)
    assert await store.read(count, table) == 5
    assert not await store.write(assertions.accept, sha("a3"), NOW + 3, NOW + 2)
    assert {row["expires_at"] for row in await store.read(rows, table)} == {NOW + 3, NOW + 4}
    assert await store.write(assertions.accept, sha("a0"), NOW + 60, NOW + 2)


@pytest.mark.requirement("attack-43")
async def test_a_client_that_is_gone_is_given_nothing(store: Store) -> None:
    await store.write(clients.add, client())
    assert await store.write(clients.use, "c1", NOW)
    assert [row["last_used_at"] for row in await store.read(rows, clients_table)] == [NOW]
    assert await store.write(clients.remove, "c1", NOW + 9)
    assert not await store.write(clients.use, "c1", NOW)


async def _live(store: Store, text: str, now: float = NOW) -> LiveRefresh | None:
    return await store.read(introspection.live_refresh, sha(text), now)


@pytest.mark.requirement("attack-72")
async def test_a_refresh_token_is_live_until_it_is_replaced_and_then_its_successor_is(store: Store) -> None:
    await people(store)
    await granted(store)
    found = await _live(store, "r1")
    assert found is not None
    assert (found.client_id, found.user.username, found.scope) == ("c1", "alice", ("mcp:read", "mcp:write", "openid"))
    assert (found.issued_at, found.expires_at) == (NOW, NOW + 1000)
    await rotate(store, "r1", "r2", now=NOW + 9_500)  # too late: idle
    assert await _live(store, "r2", NOW + 9_500) is None
    await rotate(store, "r1", "r2", now=NOW + 10)
    assert await _live(store, "r1", NOW + 10) is None
    second = await _live(store, "r2", NOW + 10)
    assert second is not None
    assert (second.issued_at, second.expires_at) == (NOW + 10, NOW + 1010)
    assert await _live(store, "r2", NOW + 1010) is None
    assert await _live(store, "unknown") is None


@pytest.mark.requirement("attack-72")
@pytest.mark.parametrize("end", ["grant", "user", "client"])
async def test_a_refresh_token_ends_with_its_grant_its_person_and_its_client(store: Store, end: str) -> None:
    await people(store)
    issue = await granted(store)
    verbs: dict[str, tuple[Any, ...]] = {
        "grant": (grants.revoke_grant, issue.grant_id, NOW, NOW + 9),
        "user": (users.set_disabled, "id-of-alice", True, NOW, NOW + 9),
        "client": (clients.remove, "c1", NOW + 9),
    }
    assert await _live(store, "r1") is not None
    await store.write(*verbs[end])
    assert await _live(store, "r1") is None


@pytest.mark.requirement("attack-72")
async def test_a_refresh_token_ends_with_its_family(store: Store) -> None:
    await people(store)
    await granted(store)
    await rotate(store, "r1", "r2", successor=NewRefresh(sha("r2"), NOW + 50_000))
    found = await _live(store, "r2", NOW + 9_999)
    assert found is not None
    assert found.expires_at == NOW + 10_000  # the family's end, though the token might idle longer
    assert await _live(store, "r2", NOW + 10_000) is None
