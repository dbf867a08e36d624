"""Signing keys in the store: succeeded, retired, removed; on both engines."""

import asyncio
import math
from dataclasses import replace

import pytest

from oauth_server.core.jwt import generate_pem, load_key
from oauth_server.core.key_ring import KeyRing
from oauth_server.core.key_rotation import KeyRotation
from oauth_server.core.keys import PUBLISHED_BEFORE
from oauth_server.core.settings import load
from oauth_server.core.settings_rules import RefusedError
from oauth_server.store.records import KeyUse, SigningKey
from oauth_server.store.store import Store
from oauth_server.store.verbs import keys, revocations
from tests.moving.test_copy import at_revision, sql
from tests.support.clock import ManualClock
from tests.support.stored import NOW, announced

ALGORITHMS: dict[KeyUse, str] = {"access": "ES256", "id": "RS256"}
LATER = NOW + 600
UNTIL = NOW + 86_400


def access(kid: str, signs_from: float = NOW, **changed: float | None) -> SigningKey:
    return replace(SigningKey(kid, "access", "ES256", f"pem {kid}", NOW, signs_from), **changed)  # type: ignore[arg-type]


async def standing(store: Store) -> dict[str, tuple[float, float | None]]:
    """From when to when each key signs."""
    return {key.kid: (key.signs_from, key.stops_at) for key in await store.read(keys.listed)}


@pytest.fixture
async def waiting(store: Store) -> Store:
    """A store in which `new` waits to succeed `old`; an ID token's key stands beside them."""
    await store.write(keys.add_if_none, access("old"), NOW, UNTIL)
    await store.write(keys.add_if_none, replace(access("other"), use="id", alg="RS256"), NOW, UNTIL)
    assert await store.write(keys.rotate, access("new", LATER), NOW, NOW, UNTIL) == access("new", LATER)
    assert await standing(store) == {"old": (NOW, LATER), "new": (LATER, None), "other": (NOW, None)}
    return store


async def test_a_key_that_waits_is_not_succeeded_by_another_that_would_wait(waiting: Store) -> None:
    assert await waiting.write(keys.rotate, access("third", LATER + 9), NOW, NOW, UNTIL) == access("new", LATER)
    assert await standing(waiting) == {"old": (NOW, LATER), "new": (LATER, None), "other": (NOW, None)}


async def test_a_key_that_signs_at_once_takes_the_place_of_the_one_that_waits(waiting: Store) -> None:
    now = NOW + 60
    await waiting.write(keys.rotate, access("third", now), math.inf, now, UNTIL)
    assert await standing(waiting) == {"old": (NOW, now), "third": (now, None), "other": (NOW, None)}


async def test_a_retired_key_that_signs_is_followed_at_once_by_the_one_that_waits(waiting: Store) -> None:
    now = NOW + 60
    assert await waiting.write(keys.retire, "old", ALGORITHMS, now, UNTIL) == "retired"
    assert await standing(waiting) == {"new": (now, None), "other": (NOW, None)}


async def test_where_the_one_that_waits_is_retired_the_other_signs_on(waiting: Store) -> None:
    assert await waiting.write(keys.retire, "new", ALGORITHMS, NOW + 60, UNTIL) == "retired"
    assert await standing(waiting) == {"old": (NOW, None), "other": (NOW, None)}


async def test_the_last_one_that_signs_is_not_retired_and_one_that_only_verifies_is(waiting: Store) -> None:
    assert await waiting.write(keys.retire, "new", ALGORITHMS, LATER, UNTIL) == "last"
    assert await waiting.write(keys.retire, "other", ALGORITHMS, LATER, UNTIL) == "last"
    assert await waiting.write(keys.retire, "absent", ALGORITHMS, LATER, UNTIL) == "unknown"
    assert set(await standing(waiting)) == {"old", "new", "other"}
    assert await waiting.write(keys.retire, "old", ALGORITHMS, LATER, UNTIL) == "retired"
    assert set(await standing(waiting)) == {"new", "other"}


async def test_of_both_retired_at_once_one_stays(waiting: Store) -> None:
    found = await asyncio.gather(*(waiting.write(keys.retire, kid, ALGORITHMS, NOW, UNTIL) for kid in ("old", "new")))
    assert sorted(found) == ["last", "retired"]
    assert len(await standing(waiting)) == 2


async def test_keys_end_by_the_time_they_stopped(waiting: Store) -> None:
    assert await waiting.write(keys.remove_ended, LATER - 1, LATER, UNTIL) == []
    assert await waiting.write(keys.remove_ended, LATER, LATER, UNTIL) == ["old"]
    assert set(await standing(waiting)) == {"new", "other"}


async def test_every_change_is_announced_to_every_process(waiting: Store) -> None:
    epoch = await waiting.read(revocations.current_epoch)
    changes = [
        (keys.rotate, access("third", LATER), LATER, NOW),
        (keys.retire, "new", ALGORITHMS, NOW),
        (keys.remove_ended, LATER, NOW),
    ]
    for number, (verb, *arguments) in enumerate(changes):
        await waiting.write(verb, *arguments, UNTIL)  # type: ignore[arg-type]
        assert await announced(waiting, epoch + number) == (epoch + number + 1, [("keys", "", UNTIL)])


async def test_a_private_key_is_replaced_only_where_it_is_still_the_same(store: Store) -> None:
    await store.write(keys.add_if_none, access("a"), NOW, UNTIL)
    assert await store.write(keys.replace_private, "a", "pem a", "sealed once")
    assert not await store.write(keys.replace_private, "a", "pem a", "sealed twice")
    assert [key.private_pem for key in await store.read(keys.listed)] == ["sealed once"]


async def test_a_key_of_an_earlier_release_signs_from_its_creation_on(empty_database: str) -> None:
    at_revision(empty_database, "0003")
    sql(
        empty_database,
        "INSERT INTO signing_keys (kid, use, alg, private_pem, created_at) VALUES ('a', 'access', 'ES256', 'pem a', 0)",
    )
    again = Store(empty_database)
    assert await standing(again) == {"a": (0, None)}
    again.close()


async def test_of_two_processes_that_bring_the_same_key_at_once_one_does(pair: tuple[Store, Store]) -> None:
    clock, pem = ManualClock(), generate_pem("ES256")
    rotations = [KeyRotation(store, load({}), clock) for store in pair]
    found = await asyncio.gather(
        *(rotation.rotate("access", at_once=True, pem=pem) for rotation in rotations), return_exceptions=True
    )
    (refused,) = [outcome for outcome in found if isinstance(outcome, RefusedError)]
    assert refused.problem == f"holds the key {load_key(pem, 'ES256').kid}, which is in the database already"
    assert [key.kid for key in await pair[0].read(keys.listed)] == [load_key(pem, "ES256").kid]


async def test_two_processes_that_notice_an_aged_key_at_once_agree_on_its_successor(pair: tuple[Store, Store]) -> None:
    clock, rings = ManualClock(), []
    for store in pair:
        rings.append(KeyRing(store, load({"MCP_OAUTH_SIGNING_ALG": "ES256"}), clock))
        await rings[-1].open()
    before = rings[0].current()
    clock.advance(91 * 86_400)
    await asyncio.gather(*(ring.do_what_is_due() for ring in rings for _ in range(3)))
    stored = await pair[0].read(keys.listed)
    assert sorted((key.use, key.stops_at is None) for key in stored) == sorted(
        (use, alone) for use in ALGORITHMS for alone in (True, False)
    )
    await asyncio.gather(*(ring.reload() for ring in rings))
    clock.advance(PUBLISHED_BEFORE)
    one, two = (ring.current() for ring in rings)
    assert one.sign_access.kid == two.sign_access.kid != before.sign_access.kid
    assert one.sign_id.kid == two.sign_id.kid != before.sign_id.kid
    assert {key.kid for key in one.all} == {key.kid for key in two.all} > {key.kid for key in before.all}
