"""Clients that anybody registers: shared, bounded and forgotten; initial access tokens; replaced and removed."""

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, update

from oauth_server.core.client_configuration import ClientConfiguration
from oauth_server.core.clients import Clients
from oauth_server.core.errors import RegistrationTokenError
from oauth_server.core.refusals import Refusals
from oauth_server.core.revocation import RevocationFilter
from oauth_server.core.settings import load
from oauth_server.store.records import Bounds, Client, InitialAccessToken, Issue, Refusal, TooMany
from oauth_server.store.schema import clients as clients_table
from oauth_server.store.schema import codes as codes_table
from oauth_server.store.schema import grants as grants_table
from oauth_server.store.schema import initial_access_tokens as tokens_table
from oauth_server.store.store import Store
from oauth_server.store.verbs import clients, grants, initial_access_tokens, registrations, revocations, users
from tests.support.stored import NOW, client, code, count, granted, people, redeem, rotate, rows, sha

MANY = 32
DAY = 24 * 3600
BOUNDS = Bounds(from_source=5, window=3600, unused=8)
WIDE = Bounds(from_source=1000, window=3600, unused=1000)
Pair = tuple[Store, Store]


def anybodys(client_id: str, source: str = "192.0.2.1", at: float = NOW, **fields: Any) -> Client:
    """A client that anybody registered."""
    return client(client_id, registered_from=source, created_at=at, unused_until=at + DAY, **fields)


async def register(store: Store, wanted: Client, bounds: Bounds = WIDE) -> Client | TooMany:
    source_key = sha(wanted.registered_from)
    return await store.write(registrations.register, wanted, bounds, source_key, wanted.created_at)


async def ids(store: Store) -> list[str]:
    return sorted(row["client_id"] for row in await store.read(rows, clients_table))


async def use(store: Store, client_id: str, now: float = NOW) -> None:
    """Let a person connect a client."""

    def used(connection: Connection) -> None:
        connection.execute(update(clients_table).where(clients_table.c.client_id == client_id).values(last_used_at=now))

    await store.write(used)


@pytest.mark.requirement("attack-51")
async def test_many_identical_registrations_at_once_make_one_client(pair: Pair) -> None:
    tries = (register(pair[n % 2], anybodys(f"c{n}", fingerprint=sha("same"))) for n in range(MANY))
    found = await asyncio.gather(*tries)
    (stored,) = await ids(pair[0])
    assert [answer.client_id for answer in found if isinstance(answer, Client)] == [stored] * MANY


@pytest.mark.requirement("attack-51")
async def test_clients_without_a_fingerprint_are_each_their_own(store: Store) -> None:
    for number in range(3):
        await register(store, anybodys(f"c{number}"))
    await register(store, anybodys("c3", fingerprint=sha("one")))
    await register(store, anybodys("c4", fingerprint=sha("other")))
    assert await ids(store) == ["c0", "c1", "c2", "c3", "c4"]


@pytest.mark.requirement("attack-51")
@pytest.mark.parametrize("bound", ["from_source", "unused"])
async def test_of_many_registrations_at_once_no_more_than_the_bound_are_stored(pair: Pair, bound: str) -> None:
    sources = ["192.0.2.1"] * MANY if bound == "from_source" else [f"192.0.2.{n}" for n in range(MANY)]
    wanted = [anybodys(f"c{n}", source) for n, source in enumerate(sources)]
    found = await asyncio.gather(*(register(pair[n % 2], one, BOUNDS) for n, one in enumerate(wanted)))
    room = BOUNDS.from_source if bound == "from_source" else BOUNDS.unused
    until = NOW + (BOUNDS.window / BOUNDS.from_source if bound == "from_source" else DAY)
    refused = [answer for answer in found if not isinstance(answer, Client)]
    assert refused == [TooMany(bound, until)] * (MANY - room)  # type: ignore[arg-type]
    assert len(await ids(pair[1])) == room


@pytest.mark.requirement("attack-51")
async def test_a_source_has_room_again_as_its_registrations_leak_from_their_bucket(store: Store) -> None:
    for number in range(5):
        await register(store, anybodys(f"c{number}"), BOUNDS)
    assert await register(store, anybodys("late", at=NOW + 719), BOUNDS) == TooMany("from_source", NOW + 720)
    assert isinstance(await register(store, anybodys("other", "192.0.2.2", at=NOW + 719), BOUNDS), Client)
    assert isinstance(await register(store, anybodys("late", at=NOW + 720), BOUNDS), Client)
    assert await register(store, anybodys("again", at=NOW + 720), BOUNDS) == TooMany("from_source", NOW + 1440)


@pytest.mark.requirement("attack-51")
async def test_used_clients_and_those_of_the_operator_take_no_room(store: Store) -> None:
    for number in range(8):
        await register(store, anybodys(f"c{number}", f"192.0.2.{number}"), BOUNDS)
        await store.write(clients.add, client(f"operators-{number}"))
    assert await register(store, anybodys("x", "198.51.100.1"), BOUNDS) == TooMany("unused", NOW + DAY)
    await use(store, "c3")
    assert isinstance(await register(store, anybodys("x", "198.51.100.1"), BOUNDS), Client)
    assert await register(store, anybodys("y", "198.51.100.1"), BOUNDS) == TooMany("unused", NOW + DAY)


@pytest.mark.requirement("attack-51")
async def test_sharing_is_never_bounded_and_stores_nothing(store: Store) -> None:
    none = Bounds(from_source=0, window=3600, unused=0)
    first = anybodys("c0", fingerprint=sha("same"))
    assert await register(store, first) == first
    before = await store.read(rows, clients_table)
    assert await register(store, anybodys("c1", fingerprint=sha("same")), none) == first
    assert isinstance(await register(store, anybodys("c2", fingerprint=sha("other")), none), TooMany)
    assert await store.read(rows, clients_table) == before


@pytest.mark.requirement("attack-51")
async def test_a_client_that_nobody_used_is_unknown_after_its_time_and_one_that_was_used_never(store: Store) -> None:
    await register(store, anybodys("used"))
    await register(store, anybodys("unused"))
    await store.write(clients.add, client("operators"))
    await use(store, "used")
    for client_id, known in (("used", True), ("unused", False), ("operators", True)):
        assert await store.read(clients.find, client_id, NOW + DAY - 1) is not None
        assert (await store.read(clients.find, client_id, NOW + DAY) is not None) is known
    listed = await store.read(clients.newest, 10, NOW + DAY)
    assert sorted(found.client_id for found in listed) == ["operators", "used"]


@pytest.mark.requirement("attack-51")
async def test_ended_clients_leave_in_batches_with_later_registrations(store: Store) -> None:
    batch = registrations.FORGOTTEN_AT_ONCE
    for number in range(batch + 10):
        await register(store, anybodys(f"old-{number:03}", at=NOW + number))
    await people(store)
    await granted(store)
    await use(store, "old-000")
    young = NOW + DAY + batch + 10
    await register(store, anybodys("young", at=young))
    later = NOW + DAY + batch + 10 + registrations.FORGOTTEN_AFTER
    assert len(await ids(store)) == batch + 13  # nothing has been over for long
    await register(store, anybodys("late-1", at=later))
    left = [name for name in await ids(store) if name.startswith("old-")]
    assert left == ["old-000", *(f"old-{number:03}" for number in range(batch + 1, batch + 10))]
    await register(store, anybodys("late-2", at=later))
    assert await ids(store) == ["c1", "c2", "late-1", "late-2", "old-000", "young"]
    assert len(await store.read(grants.live, NOW, 10)) == 1
    assert await store.read(revocations.current_epoch) == 0  # nothing was ever issued to them


@pytest.mark.requirement("attack-51")
async def test_a_shared_client_that_ended_is_replaced_by_another_and_stays_unknown(store: Store) -> None:
    await register(store, anybodys("first", fingerprint=sha("same")))
    after = NOW + DAY
    second = anybodys("second", at=after, fingerprint=sha("same"))
    assert await store.read(registrations.shared, sha("same"), after) is None
    assert await register(store, second) == second
    assert await store.read(clients.find, "first", after) is None
    assert await store.read(registrations.shared, sha("same"), after) == second
    await use(store, "second", after)
    third = anybodys("third", at=after + 30 * DAY, fingerprint=sha("same"))
    assert await register(store, third) == replace(second, last_used_at=after)


@pytest.mark.requirement("attack-51")
async def test_an_identical_registration_gives_a_shared_client_its_full_time_back(store: Store) -> None:
    await register(store, anybodys("shared", fingerprint=sha("same")))
    again = anybodys("again", at=NOW + DAY - 1, fingerprint=sha("same"))
    assert await store.read(registrations.shared, sha("same"), again.created_at + DAY - 3600) is None
    renewed = await register(store, again)
    assert isinstance(renewed, Client)
    assert (renewed.client_id, renewed.created_at, renewed.unused_until) == ("shared", NOW, NOW + DAY - 1 + DAY)
    assert await store.read(clients.find, "shared", NOW + 2 * DAY - 2) == renewed
    assert await store.read(clients.find, "shared", NOW + 2 * DAY - 1) is None


def initial(text: str = "iat", uses: int = 2, at: float = NOW, until: float = NOW + 100) -> InitialAccessToken:
    return InitialAccessToken(sha(text), at, until, uses)


@pytest.mark.requirement("attack-51")
async def test_of_many_registrations_at_once_an_initial_access_token_allows_its_number(pair: Pair) -> None:
    await pair[0].write(initial_access_tokens.add, initial(uses=3))
    tries = (
        pair[n % 2].write(registrations.register_with_token, client(f"c{n}"), sha("iat"), NOW) for n in range(MANY)
    )
    assert Counter(await asyncio.gather(*tries)) == {True: 3, False: MANY - 3}
    assert len(await ids(pair[0])) == 3
    assert await pair[1].read(initial_access_tokens.usable, sha("iat"), NOW) is False


async def test_a_registration_that_fails_uses_nothing_up(store: Store) -> None:
    await store.write(initial_access_tokens.add, initial(uses=1))
    await store.write(clients.add, client("taken"))
    with pytest.raises(Exception, match=r"(?i)unique"):
        await store.write(registrations.register_with_token, client("taken"), sha("iat"), NOW)
    assert await store.read(initial_access_tokens.usable, sha("iat"), NOW) is True


async def test_initial_access_tokens_end_are_listed_and_leave(store: Store) -> None:
    await store.write(initial_access_tokens.add, initial("one", uses=1, at=NOW + 1))
    await store.write(initial_access_tokens.add, initial("short", at=NOW + 2, until=NOW + 10))
    await store.write(initial_access_tokens.add, initial("long", at=NOW + 3, until=NOW + 1000))
    listed = await store.read(initial_access_tokens.listed, NOW + 9)
    assert [found.token_hash for found in listed] == [sha("long"), sha("short"), sha("one")]
    assert await store.write(initial_access_tokens.use, sha("one"), NOW + 9)
    assert not await store.write(initial_access_tokens.use, sha("one"), NOW + 9)
    assert not await store.write(initial_access_tokens.use, sha("short"), NOW + 10)
    assert not await store.write(initial_access_tokens.use, sha("unknown"), NOW)
    listed = await store.read(initial_access_tokens.listed, NOW + 10)
    assert [(found.token_hash, found.uses_left) for found in listed] == [(sha("long"), 2)]
    assert await store.read(count, tokens_table) == 3
    await store.write(initial_access_tokens.add, initial("new", at=NOW + 20))
    assert await store.read(count, tokens_table) == 2  # those that can register nothing left
    assert await store.write(initial_access_tokens.remove, sha("long"))
    assert not await store.write(initial_access_tokens.remove, sha("long"))
    assert not await store.read(initial_access_tokens.usable, sha("long"), NOW)


def own(client_id: str = "c1", text: str = "rat", **fields: Any) -> Client:
    """A client that manages itself."""
    return client(client_id, registration_token_hash=sha(text), auth_method="client_secret_post", **fields)


@pytest.mark.requirement("attack-54")
async def test_of_many_updates_at_once_with_one_token_one_wins(pair: Pair) -> None:
    await pair[0].write(clients.add, own())
    tries = (
        pair[n % 2].write(clients.replace, own(text=f"next-{n}", name=f"Name {n}"), sha("rat"), ()) for n in range(MANY)
    )
    found = await asyncio.gather(*tries)
    assert Counter(found) == {True: 1, False: MANY - 1}
    stored = await pair[1].read(clients.find, "c1")
    assert stored == own(text=f"next-{found.index(True)}", name=f"Name {found.index(True)}")


@pytest.mark.requirement("attack-54")
async def test_an_update_changes_what_the_client_says_and_nothing_else(store: Store) -> None:
    await store.write(clients.add, own(resources=("https://r.example",), unused_until=NOW + DAY))
    await use(store, "c1", NOW + 1)
    said = own(
        text="next",
        name="Other",
        secret_hash=b"s" * 32,
        redirect_uris=("https://a.example/cb",),
        grant_types=("authorization_code",),
        scope=("mcp:read",),
        application_type="web",
        metadata={"client_uri": "https://a.example"},
        created_at=NOW + 99,
        source="configured",
    )
    assert await store.write(clients.replace, said, sha("rat"), ())
    kept = {"created_at": NOW, "source": "registered", "resources": ("https://r.example",)}
    kept |= {"unused_until": NOW + DAY, "last_used_at": NOW + 1}
    assert await store.read(clients.find, "c1") == replace(said, **kept)
    assert not await store.write(clients.replace, said, sha("rat"), ())


@pytest.mark.requirement("attack-54")
async def test_an_update_drops_the_consents_for_redirect_uris_that_are_gone(store: Store) -> None:
    await people(store)
    await store.write(clients.add, own("own"))
    for client_id in ("own", "c1"):
        for uri in ("http://localhost/cb", "https://a.example/cb"):
            await store.write(users.consent, "id-of-alice", client_id, uri, ("r",), ("mcp:read",), NOW)
    assert await store.write(clients.replace, own("own", "next"), sha("rat"), ("https://a.example/cb", "https://new"))

    async def consented(client_id: str, uri: str) -> bool:
        return bool(await store.read(users.consented, "id-of-alice", client_id, uri, ("r",)))

    assert not await consented("own", "http://localhost/cb")
    assert await consented("own", "https://a.example/cb")
    assert await consented("c1", "http://localhost/cb")  # of another client


@pytest.mark.requirement("attack-54")
async def test_a_client_is_deleted_by_its_own_token_alone(store: Store) -> None:
    await store.write(clients.add, own())
    await store.write(clients.add, client("open"))
    assert not await store.write(clients.remove, "c1", NOW + 9, sha("other"))
    assert not await store.write(clients.remove, "open", NOW + 9, sha("rat"))
    assert await ids(store) == ["c1", "open"]
    assert await store.read(revocations.current_epoch) == 0
    assert await store.write(clients.remove, "c1", NOW + 9, sha("rat"))
    assert await ids(store) == ["open"]


@pytest.mark.requirement("attack-54")
async def test_redemptions_rotations_and_a_deletion_at_once_leave_nothing_that_lives(pair: Pair) -> None:
    await people(pair[0])
    await granted(pair[0])
    for number in range(12):
        await pair[0].write(grants.add_code, code(f"k{number}"))
    found = await asyncio.gather(
        *(redeem(pair[n % 2], f"k{n}", f"s{n}") for n in range(6)),
        pair[1].write(clients.remove, "c1", NOW + 9),
        *(redeem(pair[n % 2], f"k{n}", f"s{n}") for n in range(6, 12)),
        rotate(pair[0], "r1", "r2"),
    )
    # Each was served before the deletion, or found nothing after it; nobody was turned away by a deadlock.
    assert all(isinstance(outcome, Issue | Refusal) or outcome is True for outcome in found), found
    assert await ids(pair[0]) == ["c2"]
    for table in (codes_table, grants_table):
        assert await pair[1].read(count, table) == 0


async def test_a_client_that_was_deleted_and_its_shared_successor_have_nothing_in_common(store: Store) -> None:
    await register(store, anybodys("first", fingerprint=sha("same")))
    assert await store.write(clients.remove, "first", NOW + DAY)
    second = anybodys("second", fingerprint=sha("same"))
    assert await register(store, second) == second
    assert await store.read(revocations.find, [("client", "second")]) == []


@pytest.mark.requirement("attack-54", "attack-76")
async def test_a_client_id_that_no_engine_could_hold_is_a_wrong_token(store: Store) -> None:
    def clock() -> float:
        return NOW

    known = Clients(store, clock)
    rules = ClientConfiguration(
        load({}), "https://a.example", store, known, RevocationFilter(store, clock), Refusals(store, clock), clock
    )
    with pytest.raises(RegistrationTokenError):
        await rules.authenticate("a\x00b", "token")
