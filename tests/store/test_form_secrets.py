"""The secrets of forms: succeeded once for all processes, accepted for what they signed, removed."""

from base64 import b64encode

from oauth_server.core.form_secrets import FORM_LIFETIME, KNOWN_FOR, PUBLISHED_BEFORE, FormSecrets
from oauth_server.core.settings import load
from oauth_server.store.store import Store
from oauth_server.store.verbs import form_secrets as verbs
from tests.support.clock import ManualClock
from tests.support.databases import sql

KEY = b64encode(bytes(32)).decode()
NAME = "MCP_OAUTH_KEY_ENCRYPTION_KEY"
DAY = 86_400
EARLIER = "the plain secret of an earlier release"


def secrets(store: Store, clock: ManualClock, **env: str) -> FormSecrets:
    return FormSecrets(store, load(env), clock)


async def test_a_sealed_secret_opens_in_the_place_of_no_other_one(
    store: Store, empty_database: str, clock: ManualClock
) -> None:
    env = {NAME: KEY}
    ours = secrets(store, clock, **env)
    await ours.open()
    first = ours.signing
    sql(empty_database, "UPDATE form_secrets SET secret_id = 'another'")
    again = secrets(store, clock, **env)
    await again.open()
    assert again.signing != first
    assert "another" not in {entry.secret_id for entry in await store.read(verbs.listed)}


async def test_what_a_replaced_secret_signs_afterwards_is_accepted_nowhere(
    store: Store, empty_database: str, clock: ManualClock
) -> None:
    ours = secrets(store, clock)
    await ours.open()
    old = ours.signing
    assert ours.of_form(int(clock())) == [old]
    await ours.rotate(at_once=True)
    assert ours.signing == old  # until every process knows the new one
    clock.advance(PUBLISHED_BEFORE)
    new = ours.signing
    assert new != old
    assert ours.of_form(int(clock())) == [new, old]  # clocks differ
    assert ours.kept() == [new, old]
    clock.advance(61)
    assert ours.of_form(int(clock())) == [new]
    assert ours.of_form(int(clock()) - 100) == [new, old]
    clock.advance(FORM_LIFETIME)
    assert ours.kept() == ours.of_form(int(clock()) - FORM_LIFETIME) == [new]
    await ours.do_what_is_due()
    assert [entry.stops_at for entry in await store.read(verbs.listed)] == [None]


async def test_a_secret_is_succeeded_by_age_once_for_all_processes_and_known_browsers_stay_known(
    store: Store, empty_database: str, clock: ManualClock
) -> None:
    one, other = (secrets(store, clock) for _ in range(2))
    for each in (one, other):
        await each.open()
    assert one.signing == other.signing
    old = one.signing
    clock.advance(90 * DAY)
    for each in (one, other):
        await each.do_what_is_due()
        await each.reload()
    await one.reload()
    assert len(await store.read(verbs.listed)) == 2
    clock.advance(PUBLISHED_BEFORE)
    assert one.signing == other.signing != old
    assert one.kept() == [one.signing, old]
    clock.advance(KNOWN_FOR)
    assert old not in one.kept()
    unaged = secrets(store, clock, MCP_OAUTH_KEY_ROTATION_DAYS="0")
    await unaged.open()
    before = len(await store.read(verbs.listed))
    await unaged.do_what_is_due()
    assert len(await store.read(verbs.listed)) == before - 1


async def test_the_plain_secret_of_an_earlier_release_signs_for_an_hour_and_leaves(
    store: Store, empty_database: str, clock: ManualClock
) -> None:
    sql(empty_database, "INSERT INTO meta (name, value) VALUES ('form_secret', :plain)", plain=EARLIER)
    ours = secrets(store, clock, **{NAME: KEY})
    await ours.open()
    assert ours.signing == EARLIER.encode()
    assert EARLIER not in str(sql(empty_database, "SELECT secret FROM form_secrets"))
    await ours.do_what_is_due()
    assert sql(empty_database, "SELECT value FROM meta WHERE name = 'form_secret'") == [
        (EARLIER,)
    ]  # for those who serve beside us
    clock.advance(FORM_LIFETIME)
    assert ours.signing != EARLIER.encode()
    assert EARLIER.encode() in ours.of_form(int(clock()) - 10)
    await ours.do_what_is_due()
    assert sql(empty_database, "SELECT value FROM meta WHERE name = 'form_secret'") == []
    assert EARLIER.encode() in ours.kept()
    clock.advance(KNOWN_FOR)
    await ours.do_what_is_due()
    assert EARLIER.encode() not in ours.kept()
    assert len(await store.read(verbs.listed)) == 2
