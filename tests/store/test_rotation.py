"""Rotating a refresh token: each outcome, the grace window, reuse detection, and what revocation ends."""

import pytest

from oauth_server.store.records import Issue, Permitted, Refusal
from oauth_server.store.schema import grants as grants_table
from oauth_server.store.schema import refresh_tokens
from oauth_server.store.store import Store
from oauth_server.store.verbs import clients, grants, revocations, users
from tests.support.stored import NOW, PERMITTED, RESOURCE, code, count, granted, people, redeem, rotate, rows, sha

GRANT = "grant-of-code-1"


@pytest.fixture(autouse=True)
async def one_grant(store: Store) -> None:
    await people(store)
    await granted(store)


async def used(store: Store) -> dict[bytes, float | None]:
    """When each refresh token was used."""
    return {row["token_hash"]: row["used_at"] for row in await store.read(rows, refresh_tokens)}


@pytest.mark.requirement("AS-27")
async def test_a_rotation_replaces_the_token_and_keeps_the_grant(store: Store) -> None:
    issue = await rotate(store, now=NOW + 100)
    assert isinstance(issue, Issue)
    assert (issue.grant_id, issue.scope, issue.sealed_successor) == (GRANT, ("mcp:read", "mcp:write", "openid"), None)
    assert (issue.resource, issue.auth_time, issue.nonce) == (RESOURCE, NOW - 5, None)
    assert await used(store) == {sha("r1"): NOW + 100, sha("r2"): None}
    assert await store.read(count, grants_table) == 1


@pytest.mark.requirement("attack-46")
@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"client_id": "c2"}, "client"),
        ({"now": NOW + 1000}, "expired"),
        ({"resource": "https://other.example"}, "resource"),
        ({"scope": ("mcp:read", "mcp:admin")}, "scope"),
        ({"permitted": Permitted(frozenset(), frozenset())}, "scope"),
    ],
)
async def test_a_refused_rotation_rotates_nothing(store: Store, fields: dict[str, object], reason: str) -> None:
    assert await rotate(store, **fields) == Refusal(reason, GRANT)  # type: ignore[arg-type]
    assert await used(store) == {sha("r1"): None}
    assert await store.read(revocations.current_epoch) == 0
    assert isinstance(await rotate(store), Issue)


async def test_an_unknown_token_is_refused(store: Store) -> None:
    assert await rotate(store, "another") == Refusal("unknown")


async def test_the_family_ends_at_its_absolute_age_however_often_it_is_used(store: Store) -> None:
    previous = "r1"
    for step in range(1, 12):
        issue = await rotate(store, previous, f"s{step}", now=NOW + 900 * step)
        assert isinstance(issue, Issue), step
        previous = f"s{step}"
    assert await rotate(store, previous, "end", now=NOW + 10_000) == Refusal("expired", GRANT)


@pytest.mark.requirement("attack-45")
@pytest.mark.parametrize("after", [0, 10, 30])
async def test_within_the_grace_window_the_same_successor_is_handed_out_again(store: Store, after: float) -> None:
    await rotate(store, "r1", "r2")
    again = await rotate(store, "r1", "r3", now=NOW + after)
    assert isinstance(again, Issue)
    assert again.sealed_successor == b"sealed r2"
    assert await used(store) == {sha("r1"): NOW, sha("r2"): None}  # r3 never became a token
    assert await store.read(revocations.current_epoch) == 0


@pytest.mark.requirement("attack-45")
async def test_the_grace_window_is_counted_from_the_rotation_not_from_the_repetition(store: Store) -> None:
    await rotate(store, "r1", "r2")
    assert isinstance(await rotate(store, "r1", "r3", now=NOW + 29), Issue)
    assert await rotate(store, "r1", "r4", now=NOW + 31) == Refusal("reused", GRANT, grant_revoked=True)


@pytest.mark.requirement("attack-44")
async def test_reuse_after_the_grace_window_revokes_the_family(store: Store) -> None:
    await rotate(store, "r1", "r2")
    assert await rotate(store, "r1", "r3", now=NOW + 30.1) == Refusal("reused", GRANT, grant_revoked=True)
    assert await rotate(store, "r2", "r4", now=NOW + 31) == Refusal("revoked", GRANT)
    assert await store.read(grants.live, NOW + 31, 10) == []
    (entry,) = await store.read(revocations.find, [("grant", GRANT)])
    assert (entry.revoked_at, entry.expires_at) == (NOW + 86_400, NOW + 86_400)


@pytest.mark.requirement("attack-44")
async def test_reuse_within_the_window_once_the_successor_was_used_revokes_the_family(store: Store) -> None:
    await rotate(store, "r1", "r2")
    await rotate(store, "r2", "r3", now=NOW + 1)
    assert await rotate(store, "r1", "r4", now=NOW + 2) == Refusal("reused", GRANT, grant_revoked=True)
    assert await rotate(store, "r3", "r5", now=NOW + 3) == Refusal("revoked", GRANT)


@pytest.mark.requirement("attack-44")
async def test_without_a_grace_window_a_second_use_is_reuse(store: Store) -> None:
    await rotate(store, "r1", "r2", grace=0)
    assert await rotate(store, "r1", "r3", grace=0, now=NOW + 0.1) == Refusal("reused", GRANT, grant_revoked=True)


@pytest.mark.requirement("attack-46")
async def test_reuse_by_another_client_revokes_nothing(store: Store) -> None:
    await rotate(store, "r1", "r2")
    assert await rotate(store, "r1", "r3", client_id="c2", now=NOW + 600) == Refusal("client", GRANT)
    assert isinstance(await rotate(store, "r2", "r4", now=NOW + 600), Issue)


async def test_in_the_grace_window_the_other_checks_still_hold(store: Store) -> None:
    await rotate(store, "r1", "r2")
    assert await rotate(store, "r1", "r3", scope=("mcp:admin",), now=NOW + 1) == Refusal("scope", GRANT)
    await store.write(users.set_disabled, "id-of-alice", True, NOW, NOW + 1)
    assert await rotate(store, "r1", "r3", now=NOW + 1) == Refusal("user", GRANT)


async def test_a_narrower_scope_and_resource_are_of_this_token_alone(store: Store) -> None:
    issue = await rotate(store, "r1", "r2", scope=("mcp:read",), resource=f"{RESOURCE}/mcp")
    assert isinstance(issue, Issue)
    assert (issue.scope, issue.resource) == (("mcp:read",), f"{RESOURCE}/mcp")
    issue = await rotate(store, "r2", "r3")
    assert isinstance(issue, Issue)
    assert (issue.scope, issue.resource) == (("mcp:read", "mcp:write", "openid"), RESOURCE)


async def test_the_ceiling_and_the_configuration_are_asked_again_at_refresh(store: Store) -> None:
    await store.write(users.set_scope, "id-of-alice", ("mcp:read",), lambda: NOW, 1)
    issue = await rotate(store, "r1", "r2")
    assert isinstance(issue, Issue)
    assert issue.scope == ("mcp:read", "openid")
    issue = await rotate(store, "r2", "r3", permitted=Permitted(frozenset(), PERMITTED.unlimited))
    assert isinstance(issue, Issue)
    assert issue.scope == ("openid",)


async def test_a_disabled_person_refreshes_nothing(store: Store) -> None:
    await store.write(users.set_disabled, "id-of-alice", True, NOW, NOW + 1)
    assert await rotate(store) == Refusal("user", GRANT)
    assert await used(store) == {sha("r1"): None}


async def test_a_refresh_token_is_revoked_by_its_own_client_alone(store: Store) -> None:
    async def revoke(text: str, client_id: str) -> tuple[str, str] | None:
        found = await store.write(grants.revoke_by_refresh, sha(text), client_id, NOW, NOW + 9)
        return found and (found.grant_id, found.username)

    assert await revoke("r1", "c2") is None
    assert await revoke("another", "c1") is None
    assert await store.read(revocations.current_epoch) == 0
    assert await revoke("r1", "c1") == (GRANT, "alice")
    assert await rotate(store) == Refusal("revoked", GRANT)
    assert await store.read(grants.live, NOW, 10) == []


async def test_the_predecessor_too_ends_the_whole_grant(store: Store) -> None:
    await rotate(store, "r1", "r2")
    ended = await store.write(grants.revoke_by_refresh, sha("r1"), "c1", NOW, NOW + 9)
    assert ended is not None
    assert ended.grant_id == GRANT
    assert await rotate(store, "r2", "r3") == Refusal("revoked", GRANT)


async def test_a_second_revocation_keeps_the_time_of_the_first(store: Store) -> None:
    await store.write(grants.revoke_grant, GRANT, NOW + 1, NOW + 9)
    await store.write(grants.revoke_grant, GRANT, NOW + 2, NOW + 9)
    (row,) = await store.read(rows, grants_table)
    assert row["revoked_at"] == NOW + 1


async def test_removing_the_client_removes_grants_tokens_and_codes(store: Store) -> None:
    assert await store.write(clients.remove, "c1", NOW + 9)
    assert await rotate(store) == Refusal("unknown")
    assert [await store.read(count, table) for table in (grants_table, refresh_tokens)] == [0, 0]


async def test_live_grants_come_newest_first_without_revoked_and_expired_ones(store: Store) -> None:
    for number in (2, 3, 4):
        await store.write(grants.add_code, code(f"code-{number}", expires_at=NOW + 900))
        until = NOW + 50 if number == 4 else NOW + 10_000
        await redeem(store, f"code-{number}", f"x{number}", now=NOW + number, lifetime=900, family_until=until)
    await store.write(grants.revoke_grant, "grant-of-code-2", NOW + 9, NOW + 99)
    live = await store.read(grants.live, NOW + 60, 10)
    assert [grant.grant_id for grant in live] == ["grant-of-code-3", GRANT]
    assert [grant.grant_id for grant in await store.read(grants.live, NOW + 10, 1)] == ["grant-of-code-4"]
