"""People, their browser sessions and consents; clients; named values, keys and the audit log."""

import sqlite3
from dataclasses import replace

import pytest

from oauth_server.store.records import AuditEvent, Revocation, Session, SigningKey
from oauth_server.store.store import Store
from oauth_server.store.verbs import audit, clients, grants, meta, revocations, users
from oauth_server.store.verbs import keys as signing
from tests.support.stored import NOW, client, code, granted, people, redeem, sha, user


async def test_a_person_is_found_by_name_and_by_id_as_stored(store: Store) -> None:
    carol = user("carol", scope=("mcp:admin",), display_name="Carol", email="c@example", must_change_password=True)
    assert await store.write(users.add, carol) is True
    assert await store.read(users.by_username, "carol") == carol
    assert await store.read(users.by_id, "id-of-carol") == carol
    assert await store.read(users.by_username, "Carol") is None
    assert await store.read(users.by_id, "carol") is None


async def test_a_taken_name_changes_nothing(store: Store) -> None:
    assert await store.write(users.add, user()) is True
    assert await store.write(users.add, user(user_id="another", password_hash="y")) is False
    assert await store.read(users.by_username, "alice") == user()


async def test_the_owner_is_created_only_where_there_is_nobody(store: Store) -> None:
    await store.write(users.add, user())
    assert await store.write(users.add_owner_if_nobody, user("owner")) is False
    assert await store.read(users.by_username, "owner") is None


@pytest.mark.requirement("attack-25")
async def test_a_session_lives_until_its_end_and_replaces_the_one_before(store: Store) -> None:
    await people(store)
    await store.write(users.start_session, sha("s1"), "id-of-alice", "x", NOW, NOW + 100, None)
    assert await store.read(users.session, sha("s1"), NOW + 99) == Session(sha("s1"), user(), NOW, NOW + 100)
    assert await store.read(users.session, sha("s1"), NOW + 100) is None
    await store.write(users.start_session, sha("s2"), "id-of-alice", "x", NOW, NOW + 100, sha("s1"))
    assert await store.read(users.session, sha("s1"), NOW) is None
    assert await store.write(users.end_session, sha("s2")) is True
    assert await store.write(users.end_session, sha("s2")) is False
    assert await store.read(users.session, sha("s2"), NOW) is None


async def test_disabling_ends_sessions_and_announces_the_person(store: Store) -> None:
    await people(store)
    await store.write(users.start_session, sha("s1"), "id-of-alice", "x", NOW, NOW + 100, None)
    await store.write(users.start_session, sha("s2"), "id-of-bob", "x", NOW, NOW + 100, None)
    await store.write(users.set_disabled, "id-of-alice", True, NOW, NOW + 9)
    assert await store.read(users.session, sha("s1"), NOW) is None
    assert await store.read(users.session, sha("s2"), NOW) is not None
    assert await store.read(revocations.since, -1, NOW) == (1, [Revocation("user", "id-of-alice", NOW + 9, NOW + 9)])
    await store.write(users.set_disabled, "id-of-alice", False, NOW, NOW + 9)
    assert await store.read(users.session, sha("s1"), NOW) is None
    # Enabling revokes nothing, but other processes must look at the person again.
    assert await store.read(revocations.since, 1, NOW) == (2, [])
    # Access tokens issued from now on are good, those of before are not.
    (entry,) = await store.read(revocations.find, [("user", "id-of-alice")])
    assert entry.revoked_at == NOW


async def test_a_session_of_a_disabled_person_is_none(store: Store) -> None:
    await people(store)
    assert await store.write(users.start_session, sha("s1"), "id-of-alice", "x", NOW, NOW + 100, None)
    await store.write(users.set_disabled, "id-of-alice", True, NOW, NOW + 9)
    assert await store.read(users.session, sha("s1"), NOW) is None
    assert not await store.write(users.start_session, sha("s2"), "id-of-alice", "x", NOW, NOW + 100, None)
    await store.write(users.set_disabled, "id-of-alice", False, NOW, NOW + 9)
    assert await store.read(users.session, sha("s2"), NOW) is None


async def test_a_password_that_was_replaced_while_it_was_verified_opens_no_session(store: Store) -> None:
    await people(store)
    assert await store.write(users.change_password, "id-of-alice", "x", "new", None)
    assert not await store.write(users.start_session, sha("s1"), "id-of-alice", "x", NOW, NOW + 100, None)
    assert await store.write(users.start_session, sha("s2"), "id-of-alice", "new", NOW, NOW + 100, None)
    assert not await store.write(users.change_password, "id-of-alice", "x", "newest", None)
    assert await store.read(users.session, sha("s1"), NOW) is None
    assert await store.read(users.session, sha("s2"), NOW) is not None


async def test_a_new_password_ends_every_other_session_of_this_person(store: Store) -> None:
    await store.write(users.add, user(must_change_password=True))
    await store.write(users.add, user("bob"))
    for name, owner in (("s1", "alice"), ("s2", "alice"), ("s3", "bob")):
        await store.write(users.start_session, sha(name), f"id-of-{owner}", "x", NOW, NOW + 100, None)
    await store.write(users.set_password, "id-of-alice", "new", sha("s2"))
    live = [await store.read(users.session, sha(name), NOW) is not None for name in ("s1", "s2", "s3")]
    assert live == [False, True, True]
    assert await store.read(users.by_id, "id-of-alice") == user(password_hash="new")
    await store.write(users.set_password, "id-of-alice", "newer", None)
    assert await store.read(users.session, sha("s2"), NOW) is None


@pytest.mark.requirement("attack-64")
@pytest.mark.parametrize(
    ("scope", "ended"),
    [
        (("mcp:read",), ["grant-of-code-1"]),
        ((), ["grant-of-code-1", "grant-of-code-2"]),
        (("mcp:read", "mcp:write"), []),
        (("mcp:write", "mcp:read", "mcp:admin"), []),
    ],
)
async def test_a_lowered_ceiling_ends_the_tokens_that_exceed_it(
    store: Store, scope: tuple[str, ...], ended: list[str]
) -> None:
    await people(store)
    await granted(store)
    await store.write(grants.add_code, code("code-2", scope=("mcp:read",)))
    await redeem(store, "code-2", "r2")
    await store.write(grants.add_code, code("code-3", user_id="id-of-bob"))
    await redeem(store, "code-3", "r3")
    await store.write(users.set_scope, "id-of-alice", scope, lambda: NOW, 9)
    assert await store.read(users.by_id, "id-of-alice") == user(scope=scope)
    epoch, entries = await store.read(revocations.since, 0, NOW)
    assert epoch == 1
    assert sorted((entry.kind, entry.value) for entry in entries) == [("grant", grant_id) for grant_id in ended]
    assert len(await store.read(grants.live, NOW, 10)) == 3  # the refresh tokens live on


@pytest.mark.requirement("attack-24")
async def test_a_consent_holds_for_exactly_its_person_client_uri_and_resource(store: Store) -> None:
    await people(store)
    key = ("id-of-alice", "c1", "http://localhost/cb", ("https://a", "https://b"))
    await store.write(users.consent, *key, ("mcp:read", "openid"), NOW)
    assert await store.read(users.consented, *key) == ("mcp:read", "openid")
    others = [("id-of-bob", *key[1:]), (key[0], "c2", *key[2:]), (*key[:2], "http://localhost/cb2", key[3])]
    others += [(*key[:3], ("https://a",)), (*key[:3], ("https://b", "https://a"))]
    for other in others:
        assert await store.read(users.consented, *other) == (), other
    await store.write(users.consent, *key, ("mcp:write", "mcp:read"), NOW + 1)
    assert await store.read(users.consented, *key) == ("mcp:read", "openid", "mcp:write")


async def test_a_client_comes_back_as_it_was_registered(store: Store) -> None:
    wanted = client(
        "full",
        secret_hash=b"\x00\xff" * 16,
        auth_method="client_secret_post",
        redirect_uris=("https://a.example/cb?x=1", "http://[::1]/cb"),
        scope=("mcp:read",),
        metadata={"client_uri": "https://a.example", "contacts": ["ä@example"], "tos": None},
        name="Ünïcode \u202e",
    )
    await store.write(clients.add, wanted)
    assert await store.read(clients.find, "full") == wanted
    assert await store.read(clients.find, "Full") is None
    assert wanted.confidential
    assert not client().confidential


async def test_the_newest_clients_come_first(store: Store) -> None:
    for number in range(5):
        await store.write(clients.add, client(f"c{number}", created_at=NOW + number))
    assert [c.client_id for c in await store.read(clients.newest, 2)] == ["c4", "c3"]


async def test_a_removed_client_takes_everything_along_and_is_announced_once(store: Store) -> None:
    await people(store)
    await granted(store)
    await store.write(grants.add_code, code("open"))
    await store.write(users.consent, "id-of-alice", "c1", "u", ("r",), ("mcp:read",), NOW)
    assert await store.write(clients.remove, "c1", NOW + 9) is True
    assert await store.write(clients.remove, "c1", NOW + 9) is False
    assert await store.read(grants.live, NOW, 10) == []
    assert await store.read(users.consented, "id-of-alice", "c1", "u", ("r",)) == ()
    assert await store.read(revocations.since, 0, NOW) == (1, [Revocation("client", "c1", NOW + 9, NOW + 9)])


async def test_configuring_another_client_removes_the_one_before_and_no_registered_one(store: Store) -> None:
    first = client("first", source="configured", last_used_at=NOW + 1)
    await store.write(clients.add, client("registered"))
    await store.write(clients.add, first)
    again = replace(first, name="Renamed", created_at=NOW + 50, last_used_at=None, redirect_uris=("https://b/cb",))
    for _ in range(2):
        await store.write(clients.configure, again, NOW, NOW + 9)
        assert await store.read(clients.find, "first") == replace(again, created_at=NOW, last_used_at=NOW + 1)
        assert await store.read(revocations.current_epoch) == 1  # announced when it changed
    await store.write(clients.configure, client("second", source="configured"), NOW, NOW + 9)
    assert sorted(c.client_id for c in await store.read(clients.newest, 10)) == ["registered", "second"]
    assert [e.value for e in await store.read(revocations.find, [("client", "first")])] == ["first"]


async def test_named_values_are_set_replaced_and_created_once(store: Store) -> None:
    assert await store.read(meta.get, "issuer") is None
    await store.write(meta.remember, "issuer", "http://a")
    await store.write(meta.remember, "issuer", "http://b")
    assert await store.read(meta.get, "issuer") == "http://b"
    assert await store.write(meta.get_or_create, "issuer", "http://c") == "http://b"
    assert await store.write(meta.get_or_create, "secret", "s1") == "s1"
    assert await store.write(meta.get_or_create, "secret", "s2") == "s1"


async def test_keys_come_newest_first_one_for_each_use_and_algorithm(store: Store) -> None:
    keys = [
        SigningKey("a", "access", "ES256", "pem a", NOW, NOW),
        SigningKey("b", "id", "RS256", "pem b", NOW + 1, NOW + 1),
        SigningKey("c", "access", "RS256", "pem c", NOW + 2, NOW + 2),
    ]
    for key in keys:
        assert await store.write(signing.add_if_none, key, NOW, NOW + 9) is True
    assert await store.write(signing.add_if_none, replace(keys[0], kid="d"), NOW, NOW + 9) is False
    assert await store.read(signing.listed) == keys[::-1]


@pytest.mark.requirement("attack-73")
async def test_an_event_is_recorded_in_the_commit_of_what_it_reports(store: Store) -> None:
    first = AuditEvent("login", "success", "alice", "c1", "127.0.0.1", "detail", NOW)
    await store.write(audit.append, first)

    def described(created: bool) -> AuditEvent | None:
        return AuditEvent("user.created", "success", at=NOW) if created else None

    assert await store.write(audit.recorded, described, users.add, user()) is True
    assert await store.write(audit.recorded, described, users.add, user()) is False
    assert await store.read(audit.newest, 10) == [AuditEvent("user.created", "success", at=NOW), first]
    assert await store.read(audit.newest, 1) == [AuditEvent("user.created", "success", at=NOW)]

    def broken(_: bool) -> AuditEvent | None:
        raise RuntimeError("no event")

    with pytest.raises(RuntimeError, match="no event"):
        await store.write(audit.recorded, broken, users.add, user("carol"))
    assert await store.read(users.by_username, "carol") is None


async def test_epochs_order_what_was_announced(store: Store) -> None:
    assert await store.read(revocations.since, -1, NOW) == (0, [])
    first, second = Revocation("token", "t1", NOW, NOW + 10), Revocation("grant", "g1", NOW + 1, NOW + 100)
    await store.write(revocations.revoke, [first])
    await store.write(revocations.revoke, [second, Revocation("user", "u1", NOW, NOW + 5)])
    epoch, entries = await store.read(revocations.since, 0, NOW)
    assert epoch == 2
    assert {e.value for e in entries} == {"t1", "g1", "u1"}
    assert {e.value for e in (await store.read(revocations.since, 1, NOW))[1]} == {"g1", "u1"}
    assert await store.read(revocations.since, 1, NOW + 5) == (2, [second])
    assert await store.read(revocations.since, 2, NOW) == (2, [])
    renewed = replace(first, revoked_at=NOW + 2, expires_at=NOW + 50)
    await store.write(revocations.revoke, [renewed])
    assert await store.read(revocations.since, 2, NOW) == (3, [renewed])
    assert await store.read(revocations.find, [("token", "t1"), ("token", "g1"), ("grant", "g1")]) == [renewed, second]


@pytest.mark.requirement("RS-22", "AS-35")
async def test_codes_and_tokens_are_nowhere_in_the_database_file(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("plain") / "oauth.db"
    store = Store(f"sqlite:///{path}")
    try:
        await people(store)
        await granted(store, "code-canary", "refresh-canary")
        await store.write(users.start_session, sha("session-canary"), "id-of-alice", "x", NOW, NOW + 9, None)
    finally:
        store.close()
    with sqlite3.connect(path) as connection:
        dump = "\n".join(connection.iterdump())
    connection.close()
    assert sha("code-canary").hex() in dump.lower()
    assert sha("refresh-canary").hex() in dump.lower()
    for canary in ("refresh-canary", "session-canary"):
        assert canary.encode() not in path.read_bytes()
