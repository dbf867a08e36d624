"""What a person connected, as the store tells it, and taking it away; on both engines."""

import pytest

from oauth_server.store.records import Refusal, Revocation
from oauth_server.store.store import Store
from oauth_server.store.verbs import applications, grants, revocations, users
from tests.support.stored import NOW, code, granted, people, redeem, rotate

HOUR = 3600


async def clients_of(store: Store, now: float = NOW, user_id: str = "id-of-alice") -> list[str]:
    return [found.client_id for found in await store.read(applications.of_user, user_id, now, HOUR)]


async def test_the_grants_of_one_client_are_one_application(store: Store) -> None:
    await people(store)
    await granted(store)
    await store.write(grants.add_code, code("code-2", scope=("mcp:read", "offline_access")))
    await redeem(store, "code-2", "r9", now=NOW + 50)
    await rotate(store, "r1", "r2", now=NOW + 70)
    (found,) = await store.read(applications.of_user, "id-of-alice", NOW + 80, HOUR)
    assert (found.client_id, found.name, found.source, found.redirect_uris) == (
        "c1",
        "Client",
        "registered",
        ("http://localhost/cb",),
    )
    assert set(found.scope) == {"mcp:read", "mcp:write", "openid", "offline_access"}
    assert (found.since, found.last_used, found.grants) == (NOW, NOW + 70, 2)
    assert await clients_of(store, user_id="id-of-bob") == []


async def test_the_one_given_a_token_last_comes_first(store: Store) -> None:
    await people(store)
    await granted(store)
    await store.write(grants.add_code, code("code-2", client_id="c2"))
    await redeem(store, "code-2", "r9", client_id="c2", now=NOW + 10)
    assert await clients_of(store, NOW + 20) == ["c2", "c1"]
    await rotate(store, "r1", "r2", now=NOW + 20)
    assert await clients_of(store, NOW + 20) == ["c1", "c2"]


async def test_a_client_that_can_do_nothing_any_more_is_not_listed(store: Store) -> None:
    await people(store)
    await granted(store)  # the refresh token ends 1,000 seconds after NOW, an access token after an hour
    assert await clients_of(store, NOW + HOUR - 1) == ["c1"]
    assert await clients_of(store, NOW + HOUR) == []
    await rotate(store, "r1", "r2", now=NOW + 999)  # ends at NOW + 1,999
    assert await clients_of(store, NOW + 999 + HOUR - 1) == ["c1"]
    assert await clients_of(store, NOW + 999 + HOUR) == []
    assert await clients_of(store, NOW + 10_000) == []


async def test_an_idle_refresh_token_counts_long_after_the_access_token(store: Store) -> None:
    await people(store)
    await granted(store)
    assert [found.client_id for found in await store.read(applications.of_user, "id-of-alice", NOW + 900, 60)] == ["c1"]
    assert await store.read(applications.of_user, "id-of-alice", NOW + 1000, 60) == []


async def test_a_refresh_token_of_an_expired_grant_counts_no_more(store: Store) -> None:
    await people(store)
    await store.write(grants.add_code, code())
    await redeem(store, family_until=NOW + 50)
    assert await store.read(applications.of_user, "id-of-alice", NOW + 49, 10) != []
    assert await store.read(applications.of_user, "id-of-alice", NOW + 50, 10) == []


@pytest.mark.requirement("attack-64")
async def test_disconnecting_ends_all_that_one_client_holds_of_one_person(store: Store) -> None:
    await people(store)
    first = await granted(store)
    second = await granted(store, "code-2", "s1")
    other = code("code-3", client_id="c2")
    await store.write(grants.add_code, other)
    await redeem(store, "code-3", "t1", client_id="c2")
    await store.write(grants.add_code, code("code-4"))
    for client_id in ("c1", "c2"):
        await store.write(users.consent, "id-of-alice", client_id, "http://localhost/cb", ("r",), ("mcp:read",), NOW)
    await store.write(users.consent, "id-of-bob", "c1", "http://localhost/cb", ("r",), ("mcp:read",), NOW)

    assert await store.write(applications.disconnect, "id-of-alice", "c1", NOW, NOW + 9) == 2
    ended = [("grant", grant_id) for grant_id in (first.grant_id, second.grant_id)]
    assert sorted(await store.read(revocations.find, ended), key=lambda entry: entry.value) == sorted(
        (Revocation("grant", grant_id, NOW + 9, NOW + 9) for _, grant_id in ended), key=lambda entry: entry.value
    )
    for token in ("r1", "s1"):
        assert isinstance(await rotate(store, token, f"new-{token}"), Refusal)
    assert isinstance(await redeem(store, "code-4", "u1"), Refusal)
    assert await clients_of(store) == ["c2"]
    key = ("http://localhost/cb", ("r",))
    assert await store.read(users.consented, "id-of-alice", "c1", *key) == ()
    assert await store.read(users.consented, "id-of-alice", "c2", *key) == ("mcp:read",)
    assert await store.read(users.consented, "id-of-bob", "c1", *key) == ("mcp:read",)


async def test_disconnecting_what_is_not_connected_announces_nothing(store: Store) -> None:
    await people(store)
    await granted(store)
    before = await store.read(revocations.current_epoch)
    assert await store.write(applications.disconnect, "id-of-bob", "c1", NOW, NOW + 9) == 0
    assert await store.write(applications.disconnect, "id-of-alice", "nobody", NOW, NOW + 9) == 0
    assert await store.read(revocations.current_epoch) == before
    assert await clients_of(store) == ["c1"]
