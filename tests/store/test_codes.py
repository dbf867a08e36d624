"""Redeeming a code: each outcome, in the order of the checks, and what each leaves behind."""

from dataclasses import replace

import pytest

from oauth_server.store.records import Issue, Permitted, Refusal
from oauth_server.store.schema import clients as clients_table
from oauth_server.store.schema import codes, refresh_tokens
from oauth_server.store.schema import grants as grants_table
from oauth_server.store.store import Store
from oauth_server.store.verbs import grants, revocations, users
from tests.support.stored import NOW, RESOURCE, code, count, people, redeem, rows, sha, user


@pytest.fixture(autouse=True)
async def one_code(store: Store) -> None:
    await people(store)
    await store.write(grants.add_code, code())


async def untouched(store: Store) -> bool:
    """Whether the code still stands and nothing came of it."""
    used = [row["used_at"] for row in await store.read(rows, codes)]
    made = [await store.read(count, table) for table in (grants_table, refresh_tokens)]
    return used == [None] and made == [0, 0] and await store.read(revocations.current_epoch) == 0


async def test_a_code_becomes_a_grant_with_what_it_was_bound_to(store: Store) -> None:
    issue = await redeem(store)
    assert issue == Issue(
        "grant-of-code-1",
        user(),
        ("mcp:read", "mcp:write", "openid"),
        RESOURCE,
        NOW - 5,
        "n-1",
    )
    (grant,) = await store.read(grants.live, NOW, 10)
    assert (grant.grant_id, grant.username, grant.client_id) == ("grant-of-code-1", "alice", "c1")
    assert (grant.created_at, grant.expires_at, grant.revoked_at) == (NOW, NOW + 10_000, None)
    (refresh,) = await store.read(rows, refresh_tokens)
    assert (refresh["token_hash"], refresh["used_at"], refresh["idle_until"]) == (sha("r1"), None, NOW + 1000)
    used = {row["client_id"]: row["last_used_at"] for row in await store.read(rows, clients_table)}
    assert used == {"c1": NOW, "c2": None}


async def test_without_a_refresh_token_only_the_grant_is_stored(store: Store) -> None:
    assert isinstance(await redeem(store, refresh=None), Issue)
    assert await store.read(count, grants_table) == 1
    assert await store.read(count, refresh_tokens) == 0


@pytest.mark.requirement("attack-33", "attack-34", "attack-35")
@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"client_id": "c2"}, "client"),
        ({"redirect_uri": "http://localhost:9/cb/"}, "redirect_uri"),
        ({"redirect_uri": "http://localhost:10/cb"}, "redirect_uri"),
        ({"now": NOW + 60}, "expired"),
        ({"resource": "https://other.example"}, "resource"),
        ({"resource": f"{RESOURCE}/mcp/other"}, "resource"),
        ({"permitted": Permitted(frozenset(), frozenset())}, "scope"),
        # The order of the checks: of several faults, the first is named.
        ({"client_id": "c2", "redirect_uri": "x", "challenge": "x", "now": NOW + 60}, "client"),
        ({"redirect_uri": "x", "challenge": "x", "now": NOW + 60}, "redirect_uri"),
    ],
)
async def test_a_failure_before_consumption_leaves_the_code_alive(
    store: Store, fields: dict[str, object], reason: str
) -> None:
    assert await redeem(store, **fields) == Refusal(reason, "grant-of-code-1")  # type: ignore[arg-type]
    assert await untouched(store)
    assert isinstance(await redeem(store), Issue)


async def test_an_unknown_code_is_refused(store: Store) -> None:
    assert await redeem(store, "another") == Refusal("unknown")
    assert await untouched(store)


@pytest.mark.requirement("attack-34")
async def test_a_wrong_verifier_burns_the_code(store: Store) -> None:
    assert await redeem(store, challenge="wrong") == Refusal("verifier", "grant-of-code-1")
    assert await store.read(count, codes) == 0
    assert await redeem(store) == Refusal("unknown")
    assert await store.read(count, grants_table) == 0


async def test_an_omitted_redirect_uri_is_not_compared(store: Store) -> None:
    assert isinstance(await redeem(store, redirect_uri=None), Issue)


async def test_fewer_resources_may_be_asked_for_than_authorized(store: Store) -> None:
    issue = await redeem(store, resource=f"{RESOURCE}/mcp")
    assert isinstance(issue, Issue)
    assert issue.resource == f"{RESOURCE}/mcp"
    (grant,) = await store.read(rows, grants_table)
    assert grant["resources"] == (RESOURCE, f"{RESOURCE}/mcp")


async def test_a_disabled_person_is_granted_nothing(store: Store) -> None:
    await store.write(users.set_disabled, "id-of-alice", True, NOW, NOW + 1)
    assert await redeem(store) == Refusal("user", "grant-of-code-1")
    assert await store.read(count, grants_table) == 0
    await store.write(users.set_disabled, "id-of-alice", False, NOW, NOW + 1)
    assert isinstance(await redeem(store), Issue)


async def test_a_ceiling_lowered_since_the_consent_cuts_the_scope(store: Store) -> None:
    await store.write(users.set_scope, "id-of-alice", ("mcp:read",), lambda: NOW, 1)
    issue = await redeem(store)
    assert isinstance(issue, Issue)
    assert issue.scope == ("mcp:read", "openid")
    (grant,) = await store.read(grants.live, NOW, 10)
    assert grant.scope == ("mcp:read", "openid")


@pytest.mark.requirement("attack-31")
@pytest.mark.parametrize(("after", "revoked"), [(0, False), (5, False), (5.1, True), (3600, True)])
async def test_a_replay_revokes_the_grant_only_when_it_cannot_be_a_twin(
    store: Store, after: float, revoked: bool
) -> None:
    assert isinstance(await redeem(store), Issue)
    found = await redeem(store, refresh="r9", now=NOW + after)
    assert found == Refusal("replayed", "grant-of-code-1", grant_revoked=revoked)
    assert len(await store.read(grants.live, NOW + after, 10)) == (0 if revoked else 1)
    announced = await store.read(revocations.find, [("grant", "grant-of-code-1")])
    assert [entry.revoked_at for entry in announced] == ([NOW + 86_400] if revoked else [])
    assert await store.read(count, refresh_tokens) == 1


@pytest.mark.requirement("attack-31", "attack-33")
@pytest.mark.parametrize(
    ("fields", "reason"), [({"client_id": "c2"}, "client"), ({"redirect_uri": "x"}, "redirect_uri")]
)
async def test_a_late_replay_that_fails_an_earlier_check_revokes_nothing(
    store: Store, fields: dict[str, object], reason: str
) -> None:
    assert isinstance(await redeem(store), Issue)
    found = await redeem(store, now=NOW + 600, **fields)
    assert found == Refusal(reason, "grant-of-code-1")  # type: ignore[arg-type]
    assert len(await store.read(grants.live, NOW, 10)) == 1


@pytest.mark.requirement("attack-31", "attack-34")
async def test_a_replay_with_a_wrong_verifier_neither_revokes_nor_forgets_the_use(store: Store) -> None:
    assert isinstance(await redeem(store), Issue)
    assert await redeem(store, challenge="wrong", now=NOW + 600) == Refusal("verifier", "grant-of-code-1")
    assert len(await store.read(grants.live, NOW, 10)) == 1
    assert await redeem(store, now=NOW + 600) == Refusal("replayed", "grant-of-code-1", grant_revoked=True)


@pytest.mark.requirement("attack-31")
async def test_a_replay_is_recognised_after_the_code_expired(store: Store) -> None:
    assert isinstance(await redeem(store), Issue)
    assert await redeem(store, now=NOW + 7200) == Refusal("replayed", "grant-of-code-1", grant_revoked=True)


async def test_code_and_consent_are_stored_together_or_not_at_all(store: Store) -> None:
    given = ("id-of-alice", "c1", "http://localhost/cb", (RESOURCE,), ("mcp:read",))
    await store.write(grants.add_code_and_consent, code("code-2"), given, NOW)
    assert await store.read(users.consented, *given[:4]) == ("mcp:read",)
    stale = ("id-of-bob", "c1", "http://localhost/cb", (RESOURCE,), ("mcp:read",))
    taken = replace(code("code-2"), user_id="id-of-bob")
    with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
        await store.write(grants.add_code_and_consent, taken, stale, NOW)
    assert await store.read(users.consented, *stale[:4]) == ()
    await store.write(grants.add_code_and_consent, code("code-3"), None, NOW)
    assert await store.read(count, codes) == 3
