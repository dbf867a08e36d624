"""Races: however many ask at once, the outcome is the one of some order, and exactly one of them wins."""

import asyncio
import math
from collections import Counter
from dataclasses import replace

import pytest

from oauth_server.store.records import Issue, Refusal, SigningKey
from oauth_server.store.schema import grants as grants_table
from oauth_server.store.schema import refresh_tokens, signing_keys
from oauth_server.store.schema import users as users_table
from oauth_server.store.store import Store
from oauth_server.store.verbs import clients, grants, keys, meta, revocations, users
from tests.support.stored import NOW, client, code, count, granted, people, redeem, rotate, rows, sha, user

MANY = 32


Pair = tuple[Store, Store]


@pytest.mark.requirement("attack-32")
async def test_of_many_redemptions_of_one_code_one_wins_and_keeps_its_grant(pair: Pair) -> None:
    await people(pair[0])
    await pair[0].write(grants.add_code, code())
    found = await asyncio.gather(*(redeem(pair[n % 2], refresh=f"r{n}", now=NOW + 0.01 * n) for n in range(MANY)))
    assert sum(isinstance(outcome, Issue) for outcome in found) == 1
    refused = [outcome for outcome in found if isinstance(outcome, Refusal)]
    assert refused == [Refusal("replayed", "grant-of-code-1")] * (MANY - 1)
    assert await pair[0].read(count, refresh_tokens) == 1
    assert len(await pair[1].read(grants.live, NOW, 10)) == 1


@pytest.mark.requirement("attack-34")
async def test_of_wrong_verifiers_and_the_right_one_at_once_no_two_decide(pair: Pair) -> None:
    await people(pair[0])
    await pair[0].write(grants.add_code, code())
    tries = (redeem(pair[n % 2], refresh=f"r{n}", challenge="challenge" if n == 7 else "wrong") for n in range(MANY))
    found = await asyncio.gather(*tries)
    assert sum(isinstance(outcome, Issue) for outcome in found) <= 1
    # Whoever came first decided: a wrong verifier burnt the code, or the right one used it.
    reasons = Counter(outcome.reason for outcome in found if isinstance(outcome, Refusal))
    assert set(reasons) <= {"verifier", "unknown"}
    assert (await pair[0].read(count, grants_table)) == sum(isinstance(outcome, Issue) for outcome in found)


@pytest.mark.requirement("attack-45")
async def test_of_many_rotations_in_the_grace_window_all_get_the_one_successor(pair: Pair) -> None:
    await people(pair[0])
    await granted(pair[0])
    found = await asyncio.gather(*(rotate(pair[n % 2], "r1", f"s{n}") for n in range(MANY)))
    issues = [outcome for outcome in found if isinstance(outcome, Issue)]
    assert len(issues) == MANY
    (winner,) = [n for n, issue in enumerate(issues) if issue.sealed_successor is None]
    assert {issue.sealed_successor for issue in issues} == {None, f"sealed s{winner}".encode()}
    stored = {row["token_hash"] for row in await pair[1].read(rows, refresh_tokens)}
    assert stored == {sha("r1"), sha(f"s{winner}")}
    assert isinstance(await rotate(pair[1], f"s{winner}", "next", now=NOW + 40), Issue)


@pytest.mark.requirement("attack-44")
async def test_of_many_rotations_without_grace_one_wins_and_the_reuse_ends_the_family(pair: Pair) -> None:
    await people(pair[0])
    await granted(pair[0])
    tries = (rotate(pair[n % 2], "r1", f"s{n}", grace=-1) for n in range(MANY))
    found = await asyncio.gather(*tries)
    assert sum(isinstance(outcome, Issue) for outcome in found) == 1
    reasons = Counter(outcome.reason for outcome in found if isinstance(outcome, Refusal))
    assert reasons == {"reused": 1, "revoked": MANY - 2}
    assert await pair[0].read(grants.live, NOW, 10) == []


async def test_rotation_and_revocation_at_once_leave_no_live_token(pair: Pair) -> None:
    await people(pair[0])
    await granted(pair[0])
    await asyncio.gather(
        *(rotate(pair[n % 2], "r1", f"s{n}") for n in range(8)),
        pair[1].write(grants.revoke_by_refresh, sha("r1"), "c1", NOW, NOW + 9),
        *(rotate(pair[n % 2], "r1", f"t{n}") for n in range(8)),
    )
    for row in await pair[0].read(rows, grants_table):
        assert row["revoked_at"] == NOW
    assert await rotate(pair[0], "r1", "z") == Refusal("revoked", "grant-of-code-1")


async def test_many_first_starts_create_one_owner(pair: Pair) -> None:
    owners = [user(f"owner-{n}") for n in range(MANY)]
    created = await asyncio.gather(*(pair[n % 2].write(users.add_owner_if_nobody, o) for n, o in enumerate(owners)))
    assert Counter(created) == {True: 1, False: MANY - 1}
    (row,) = await pair[0].read(rows, users_table)
    assert row["username"] == f"owner-{created.index(True)}"


async def test_many_first_starts_agree_on_one_key_for_each_use(pair: Pair) -> None:
    def add(n: int) -> object:
        key = SigningKey(f"kid-{n}", "access", "ES256", "pem", NOW + n, NOW + n)
        return pair[n % 2].write(keys.add_if_none, key, NOW, NOW + 9)

    created = await asyncio.gather(*(add(n) for n in range(MANY)))  # type: ignore[call-overload]
    assert Counter(created) == {True: 1, False: MANY - 1}
    assert await pair[0].read(count, signing_keys) == 1
    assert await pair[0].write(keys.add_if_none, SigningKey("kid-id", "id", "ES256", "pem", NOW, NOW), NOW, NOW + 9)


@pytest.mark.parametrize("unless_after", [NOW, NOW - 9], ids=["by hand", "by age"])
async def test_many_rotations_at_once_agree_on_one_successor(pair: Pair, unless_after: float) -> None:
    old = SigningKey("old", "access", "ES256", "pem", NOW - 99, NOW - 99)
    await pair[0].write(keys.add_if_none, old, NOW - 99, NOW + 9)
    fresh = [SigningKey(f"kid-{n}", "access", "ES256", "pem", NOW, NOW + 600) for n in range(MANY)]
    found = await asyncio.gather(
        *(pair[n % 2].write(keys.rotate, key, unless_after, NOW, NOW + 9) for n, key in enumerate(fresh))
    )
    assert len({key.kid for key in found}) == 1
    assert await pair[1].read(keys.listed) == [found[0], replace(old, stops_at=NOW + 600)]


async def test_of_rotations_at_once_that_sign_now_each_has_one_successor(pair: Pair) -> None:
    await pair[0].write(keys.add_if_none, SigningKey("old", "id", "RS256", "pem", NOW, NOW), NOW, NOW + 9)
    fresh = [SigningKey(f"kid-{n}", "id", "RS256", "pem", NOW, NOW + 1) for n in range(MANY)]
    await asyncio.gather(*(pair[n % 2].write(keys.rotate, k, math.inf, NOW + 1, NOW + 9) for n, k in enumerate(fresh)))
    stops = Counter(key.stops_at for key in await pair[0].read(keys.listed))
    assert stops == {None: 1, NOW + 1: MANY}


async def test_many_first_starts_agree_on_one_named_value(pair: Pair) -> None:
    found = await asyncio.gather(*(pair[n % 2].write(meta.get_or_create, "form_secret", f"v{n}") for n in range(MANY)))
    assert len(set(found)) == 1
    assert await pair[1].read(meta.get, "form_secret") == found[0]


async def test_epochs_are_given_once_and_in_the_order_of_commits(pair: Pair) -> None:
    found = await asyncio.gather(*(pair[n % 2].write(revocations.bump) for n in range(MANY)))
    assert sorted(found) == list(range(1, MANY + 1))
    assert await pair[0].read(revocations.current_epoch) == MANY


async def test_a_name_can_be_taken_once_even_by_two_at_a_time(pair: Pair) -> None:
    tries = (pair[n % 2].write(users.add, user("carol", user_id=f"u{n}")) for n in range(MANY))
    created = await asyncio.gather(*tries)
    assert Counter(created) == {True: 1, False: MANY - 1}


async def test_two_processes_configure_the_same_client_at_once(pair: Pair) -> None:
    wanted = client("default", source="configured")
    tries = (pair[n % 2].write(clients.configure, wanted, NOW, NOW + 9) for n in range(MANY))
    await asyncio.gather(*tries)
    assert [c.client_id for c in await pair[0].read(clients.newest, 10)] == ["default"]


async def test_two_consents_at_once_are_both_remembered(pair: Pair) -> None:
    await people(pair[0])
    key = ("id-of-alice", "c1", "http://localhost/cb", ("https://a",))
    scopes = [f"s{n}" for n in range(16)]
    await asyncio.gather(*(pair[n % 2].write(users.consent, *key, (s,), NOW) for n, s in enumerate(scopes)))
    assert sorted(await pair[0].read(users.consented, *key)) == sorted(scopes)
