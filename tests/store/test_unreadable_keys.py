"""Signing keys that a process cannot read: it goes on with those it has, and tells what it cannot do any more."""

import asyncio
import logging
from base64 import b64encode

import pytest
from sqlalchemy import Connection, update

from oauth_server.core.errors import TemporarilyUnavailableError
from oauth_server.core.jwt import generate_pem, load_key
from oauth_server.core.key_ring import KeyRing
from oauth_server.core.key_rotation import KeyRotation
from oauth_server.core.keys import PUBLISHED_BEFORE, VERIFIES_AFTER
from oauth_server.core.settings import SettingsError, load
from oauth_server.store.records import KeyUse, SigningKey
from oauth_server.store.schema import signing_keys
from oauth_server.store.store import Store
from oauth_server.store.verbs import keys, revocations
from tests.support.clock import ManualClock

USES: tuple[KeyUse, ...] = ("access", "id")
PEMS = {"ES256": generate_pem("ES256"), "RS256": generate_pem("RS256")}  # RSA takes a while
OLD, NEW, THIRD = (b64encode(bytes([n]) * 32).decode() for n in (1, 2, 3))


def ring_with(store: Store, clock: ManualClock, key: str = "") -> KeyRing:
    return KeyRing(store, load({"MCP_OAUTH_KEY_ENCRYPTION_KEY": key}), clock)


async def opened(store: Store, clock: ManualClock, key: str = "") -> KeyRing:
    """The keys of a process that starts with this encryption key; the first ones are in the clear before."""
    for use, (alg, pem) in zip(USES, PEMS.items(), strict=True):
        first = SigningKey(load_key(pem, alg).kid, use, alg, pem, clock(), clock())
        await store.write(keys.add_if_none, first, clock(), clock() + 86_400)
    ring = ring_with(store, clock, key)
    await ring.open()
    return ring


async def stored(store: Store) -> dict[str, str]:
    return {key.kid: key.private_pem for key in await store.read(keys.listed)}


def damage(connection: Connection, kid: str, private_pem: str) -> None:
    connection.execute(update(signing_keys).where(signing_keys.c.kid == kid).values(private_pem=private_pem))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


async def test_a_successor_that_cannot_be_read_ends_nothing_for_a_day_and_signing_alone_after_it(
    store: Store, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    ring = await opened(store, clock)
    first = ring.current()
    clock.advance(60)
    successor, _ = await KeyRotation(store, load({}), clock).rotate("access")
    await store.write(damage, successor.kid, "aes-256-gcm:AAAA")  # as a process with an encryption key leaves it
    await ring.reload()
    for step in (0, PUBLISHED_BEFORE, 3600, VERIFIES_AFTER - 3601):
        clock.advance(step)
        await ring.do_what_is_due()
        assert ring.current().sign_access is first.sign_access
        assert {key.kid for key in ring.current().all} == {key.kid for key in first.all}
    clock.advance(2)
    for _ in range(3):
        await ring.do_what_is_due()
        await ring.reload()
        now = ring.current()
    assert [key.kid for key in now.all] == [first.sign_id.kid] == [now.sign_id.kid]
    assert now.access == {}
    for ask in (lambda: now.sign_access, now.require_signers):
        with pytest.raises(TemporarilyUnavailableError, match="no key to sign"):
            ask()
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2  # each told once
    assert caplog.messages[0].startswith(f"tokens of the signing key {successor.kid} are refused here: ")
    assert caplog.messages[1] == "no signing key for access tokens can be read: none is issued here"
    assert "AAAA" not in caplog.text


async def test_a_process_without_a_key_of_its_own_to_add_announces_nothing(store: Store, clock: ManualClock) -> None:
    await opened(store, clock)
    for kid in await stored(store):
        await store.write(damage, kid, "damaged")
    other = ring_with(store, clock)
    epoch = await store.read(revocations.current_epoch)
    for _ in range(3):
        await other.reload()
        clock.advance(1)
        await other.do_what_is_due()
    assert await store.read(revocations.current_epoch) == epoch
    assert other.current().all == ()
    await other.rotation.rotate("access", at_once=True)
    await other.reload()
    assert other.current().sign_access.kid in await stored(store)


async def test_a_damaged_key_stops_a_start_and_changes_nothing(store: Store, clock: ManualClock) -> None:
    ring = await opened(store, clock)
    kid = ring.current().sign_id.kid
    await store.write(damage, kid, "-----BEGIN PRIVATE KEY-----")
    before = await stored(store)
    with pytest.raises(SettingsError, match=f"^MCP_OAUTH_DATABASE_URL: the signing key {kid} in it is damaged") as seen:
        await opened(store, clock)
    assert "\n" not in str(seen.value)
    assert "BEGIN" not in str(seen.value)
    assert await stored(store) == before
    await ring.reload()  # whoever read it before goes on
    assert ring.current().sign_id.kid == kid


async def test_an_encryption_key_is_replaced_while_every_process_goes_on(
    pair: tuple[Store, Store], clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The three steps of docs/command-line.md: `OLD NEW`, `NEW OLD`, `NEW`, each process restarted in turn."""
    one, two = await opened(pair[0], clock, OLD), await opened(pair[1], clock, OLD)
    first = one.current()
    steps = (f"{OLD} {NEW}", f"{NEW} {OLD}", NEW)
    for step in steps:
        for place, store in enumerate(pair):
            restarted = await opened(store, clock, step)
            one, two = (restarted, two) if place == 0 else (one, restarted)
            # In the midst of it either may rotate: both read what the other stored.
            clock.advance(PUBLISHED_BEFORE + 1)
            made, _ = await (one, two)[place].rotation.rotate("access")
            for ring in (one, two):
                await ring.reload()
            clock.advance(PUBLISHED_BEFORE)
            assert one.current().sign_access.kid == two.current().sign_access.kid == made.kid
            assert {key.kid for key in one.current().all} == {key.kid for key in two.current().all} >= set(first.access)
    assert not [record for record in caplog.records if record.levelno > logging.INFO]
    with pytest.raises(SettingsError, match="does not open the signing key"):
        await opened(pair[0], clock, OLD)


async def test_processes_that_start_at_once_with_the_new_key_agree(
    pair: tuple[Store, Store], clock: ManualClock
) -> None:
    await opened(pair[0], clock, OLD)
    both = f"{NEW} {OLD}"
    rings = [ring_with(store, clock, both) for store in pair for _ in range(3)]
    await asyncio.gather(*(ring.open() for ring in rings))
    sealed = await stored(pair[0])
    await asyncio.gather(*(ring.open() for ring in rings))
    assert await stored(pair[0]) == sealed  # settled: nothing is written any more
    await opened(pair[1], clock, NEW)


async def test_a_process_that_still_has_the_old_key_alone_goes_on_with_the_keys_it_holds(
    pair: tuple[Store, Store], clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    behind = await opened(pair[0], clock, OLD)
    first = behind.current()
    ahead = await opened(pair[1], clock, f"{NEW} {OLD}")
    await behind.reload()
    assert {key.kid for key in behind.current().all} == {key.kid for key in ahead.current().all}
    assert behind.current().sign_access is first.sign_access
    assert not [record for record in caplog.records if record.levelno > logging.INFO]
    clock.advance(91 * 86_400)
    with pytest.raises(SettingsError, match="does not open the signing key"):
        await behind.do_what_is_due()  # told by `tend`; whoever can read them rotates
    assert len(await stored(pair[0])) == 2
    await ahead.do_what_is_due()
    assert len(await stored(pair[0])) == 4


async def test_keys_are_decrypted_for_good_under_none(store: Store, clock: ManualClock) -> None:
    first = (await opened(store, clock, OLD)).current()
    assert all(pem.startswith("aes-256-gcm:") for pem in (await stored(store)).values())
    ring = await opened(store, clock, f"none {OLD}")
    assert all(pem.startswith("-----BEGIN PRIVATE KEY-----\n") for pem in (await stored(store)).values())
    assert (await opened(store, clock)).current().sign_access.kid == first.sign_access.kid
    await ring.rotation.rotate("access", at_once=True)
    assert {pem[:5] for pem in (await stored(store)).values()} == {"-----"}


@pytest.mark.parametrize("other", ["", NEW, f"{NEW} {OLD}", f"none {OLD}", f"{THIRD} {OLD} {NEW}"])
async def test_a_rotation_stores_no_key_in_another_form_than_the_servers(
    store: Store, clock: ManualClock, other: str
) -> None:
    await opened(store, clock, OLD)
    before = await stored(store)
    with pytest.raises(SettingsError, match="MCP_OAUTH_KEY_ENCRYPTION_KEY: ") as seen:
        await ring_with(store, clock, other).rotation.rotate("access")
    assert NEW not in str(seen.value)
    assert await stored(store) == before
    await ring_with(store, clock, f"{OLD} {NEW}").rotation.rotate("access")


async def test_where_the_encryption_key_is_lost_every_key_is_retired_and_others_are_made(
    store: Store, clock: ManualClock
) -> None:
    first = (await opened(store, clock, OLD)).current()
    holds, lost = ring_with(store, clock, OLD).rotation, ring_with(store, clock, NEW).rotation
    for key in first.all:
        assert await holds.retire(key.kid) == "last"  # with the right one at hand nothing ends by mistake
        assert await lost.retire(key.kid) == "retired"
    ring = ring_with(store, clock, NEW)
    await ring.open()
    ring.current().require_signers()
    assert not {key.kid for key in ring.current().all} & {key.kid for key in first.all}
