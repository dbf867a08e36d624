"""What the operator does to people and clients, on both engines: what ends with it, and what is counted."""

import pytest

from oauth_server.store.records import AuditEvent, Held, Refusal, Revocation
from oauth_server.store.store import Store
from oauth_server.store.verbs import administration, audit, clients, grants, revocations, users
from tests.support.stored import NOW, client, code, granted, people, redeem, rotate, sha, user


async def test_everybody_is_listed_by_name(store: Store) -> None:
    for name in ("carol", "alice", "bob"):
        await store.write(users.add, user(name))
    assert await store.read(administration.everybody) == [user("alice"), user("bob"), user("carol")]


async def test_only_what_is_alive_is_counted(store: Store) -> None:
    await people(store)
    await granted(store)
    await store.write(users.start_session, sha("s1"), "id-of-alice", "x", NOW, NOW + 100, None)
    await store.write(users.start_session, sha("s2"), "id-of-bob", "x", NOW, NOW + 100, None)
    assert await store.read(administration.held_by, "id-of-alice", NOW) == Held(1, 1)
    assert await store.read(administration.held_by, "id-of-alice", NOW + 100) == Held(0, 1)
    assert await store.read(administration.held_by, "id-of-alice", NOW + 10_000) == Held(0, 0)
    assert await store.read(administration.held_by, "id-of-bob", NOW) == Held(1, 0)
    assert await store.read(administration.grants_of_client, "c1", NOW) == 1
    assert await store.read(administration.grants_of_client, "c2", NOW) == 0
    await store.write(grants.revoke_grant, "grant-of-code-1", NOW, NOW + 9)
    assert await store.read(administration.held_by, "id-of-alice", NOW) == Held(1, 0)
    assert await store.read(administration.grants_of_client, "c1", NOW) == 0


@pytest.mark.requirement("attack-64")
async def test_disabling_ends_sessions_codes_and_grants_for_good_and_nobody_elses(store: Store) -> None:
    await people(store)
    await granted(store)
    await granted_to_bob(store)
    await store.write(grants.add_code, code("code-2"))
    await store.write(users.start_session, sha("s1"), "id-of-alice", "x", NOW, NOW + 100, None)
    assert await store.write(administration.disable, "id-of-alice", NOW + 1, NOW + 9) == Held(1, 1)
    assert await store.read(users.by_id, "id-of-alice") == user(disabled=True)
    assert await store.read(revocations.current_epoch) == 1
    found = await store.read(revocations.find, [("user", "id-of-alice")])
    assert found == [Revocation("user", "id-of-alice", NOW + 9, NOW + 9)]
    await store.write(users.set_disabled, "id-of-alice", False, NOW + 2, NOW + 9)
    assert await rotate(store, now=NOW + 3) == Refusal("revoked", "grant-of-code-1")
    assert await redeem(store, "code-2") == Refusal("unknown")
    assert await store.read(users.session, sha("s1"), NOW + 3) is None
    assert [grant.username for grant in await store.read(grants.live, NOW + 3, 10)] == ["bob"]


async def granted_to_bob(store: Store) -> None:
    """A grant of bob to c2."""
    await store.write(grants.add_code, code("of-bob", user_id="id-of-bob", client_id="c2"))
    await redeem(store, "of-bob", "r-bob", client_id="c2")


async def test_a_set_password_ends_every_session_and_is_final_or_not(store: Store) -> None:
    await people(store)
    await store.write(users.start_session, sha("s1"), "id-of-alice", "x", NOW, NOW + 100, None)
    assert await store.write(administration.set_password, "id-of-alice", "new", True, NOW) == Held(1, 0)
    assert await store.read(users.by_id, "id-of-alice") == user(password_hash="new", must_change_password=True)
    assert await store.read(users.session, sha("s1"), NOW) is None
    assert await store.write(administration.set_password, "id-of-alice", "newer", False, NOW) == Held(0, 0)
    assert await store.read(users.by_id, "id-of-alice") == user(password_hash="newer")
    assert await store.read(users.by_id, "id-of-bob") == user("bob")


async def test_a_lowered_ceiling_names_each_client_once_and_no_expired_grant(store: Store) -> None:
    await people(store)
    await granted(store)
    await granted(store, "code-2", "r2")
    await store.write(grants.add_code, code("code-3", client_id="c2", scope=("mcp:read",)))
    await redeem(store, "code-3", "r3", client_id="c2")
    assert await store.write(users.set_scope, "id-of-alice", ("mcp:read", "mcp:write"), lambda: NOW, 9) == []
    assert await store.write(users.set_scope, "id-of-alice", (), lambda: NOW, 9) == ["c1", "c2"]
    await store.write(users.set_scope, "id-of-alice", ("mcp:read", "mcp:write"), lambda: NOW, 9)
    assert await store.write(users.set_scope, "id-of-alice", ("mcp:read",), lambda: NOW, 9) == ["c1"]
    await store.write(users.set_scope, "id-of-alice", ("mcp:read", "mcp:write"), lambda: NOW, 9)
    assert await store.write(users.set_scope, "id-of-alice", (), lambda: NOW + 10_000, 9) == []


@pytest.mark.requirement("attack-64")
async def test_a_deleted_client_tells_how_many_grants_it_had(store: Store) -> None:
    await people(store)
    await granted(store)
    assert await store.write(administration.delete_client, "c1", NOW, NOW + 9) == 1
    assert await store.read(clients.find, "c1") is None
    assert await store.read(clients.find, "c2") == client("c2")
    assert await rotate(store) == Refusal("unknown")
    assert await store.write(administration.delete_client, "c1", NOW, NOW + 9) is None
    assert await store.write(administration.delete_client, "c2", NOW, NOW + 9) == 0


async def test_the_log_is_searched_from_the_newest_and_told_from_the_oldest(store: Store) -> None:
    names = ("login", "logout", "login", "consent")
    events = [
        AuditEvent(name, "success", actor="alice" if number % 2 else "bob", client_id=f"c{number}", at=NOW + number)
        for number, name in enumerate(names)
    ]
    for event in events:
        await store.write(audit.append, event)

    async def found(
        since: float = 0, event: str | None = None, client_id: str | None = None, *actors: str, limit: int = 10
    ) -> list[AuditEvent]:
        return await store.read(audit.search, since, event, client_id, actors, limit)

    assert await found() == events
    assert await found(limit=2) == events[2:]
    assert await found(NOW + 1) == events[1:]
    assert await found(0, "login") == [events[0], events[2]]
    assert await found(0, "login", limit=1) == [events[2]]
    assert await found(0, None, "c1") == [events[1]]
    assert await found(0, None, None, "alice") == [events[1], events[3]]
    assert await found(0, None, None, "alice", "bob") == events
    assert await found(NOW + 3, "consent", "c3", "alice") == [events[3]]
    assert await found(0, None, None, "") == []
