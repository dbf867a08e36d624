"""What leaves the store and what stays, table by table and to the second; by indexes, and by one process at a time."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, ForeignKey, Table, event, insert, text

from oauth_server.core.housekeeping import STEPS
from oauth_server.store import schema
from oauth_server.store.records import Bucket, Client, InitialAccessToken, Issue, Refusal, Revocation
from oauth_server.store.store import Store
from oauth_server.store.verbs import (
    assertions,
    clients,
    documents,
    grants,
    housekeeping,
    initial_access_tokens,
    limits,
    registrations,
    revocations,
    users,
)
from tests.support.stored import NOW, RESOURCE, client, code, count, granted, people, redeem, rotate, rows, sha

Verb = Callable[[Connection, float, int], int]


async def left(store: Store, verb: Verb, at: float, limit: int = 100) -> int:
    """How many rows leave in one batch."""
    return await store.write(verb, at, limit)


async def sizes(store: Store, *tables: Table) -> list[int]:
    return [await store.read(count, table) for table in tables]


FAMILY = (schema.grants, schema.refresh_tokens, schema.codes)


async def all_left(store: Store, verb: Verb, at: float, limit: int = 100) -> list[int]:
    """The sizes of the batches until nothing more leaves."""
    found = []
    while batch := await left(store, verb, at, limit):
        found.append(batch)
    return found


@pytest.mark.parametrize("how", ["revoked", "expired", "idle"])
async def test_a_grant_leaves_with_its_tokens_and_code_once_it_ended(store: Store, how: str) -> None:
    await people(store)
    await granted(store)
    await granted(store, "code-2", "other")
    end = {"revoked": NOW + 500, "expired": NOW + 10_000, "idle": NOW + 1900}[how]
    if how == "revoked":
        assert isinstance(await rotate(store, "r1", "r2", now=NOW + 400), Issue)
        await store.write(grants.revoke_grant, "grant-of-code-1", end, end + 9)
    for step in range(1, 11 if how == "expired" else 2):
        await rotate(store, f"r{step}", f"r{step + 1}", now=NOW + 900 * step)
    for step in range(11):  # the other grant is used as long as it may be
        await rotate(store, "other" if not step else f"o{step}", f"o{step + 1}", now=NOW + 900 * (step + 1))
    before = await sizes(store, *FAMILY)
    other = [1, 12, 1]
    if how == "expired":
        other = [0, 0, 0]  # both are as old as they get
    assert await all_left(store, housekeeping.ended_grants, end - 0.001) == []
    assert await sizes(store, *FAMILY) == before
    assert await all_left(store, housekeeping.ended_grants, end)
    assert await sizes(store, *FAMILY) == other
    assert await rotate(store, "r1", "x", now=NOW + 9999) == Refusal("unknown")


async def test_a_replaced_refresh_token_stays_as_long_as_its_family_may_live(store: Store) -> None:
    await people(store)
    await granted(store)
    for step in range(1, 11):
        assert isinstance(await rotate(store, f"r{step}", f"r{step + 1}", now=NOW + 900 * step), Issue)
    # Ten tokens lie idle long since; the current one does not.
    assert await all_left(store, housekeeping.ended_grants, NOW + 9_999) == []
    assert await store.read(count, schema.refresh_tokens) == 11
    assert await rotate(store, "r1", "x", now=NOW + 9_999) == Refusal("reused", "grant-of-code-1", grant_revoked=True)


async def test_a_redeemed_code_stays_as_long_as_its_grant(store: Store) -> None:
    await people(store)
    await granted(store)
    assert await left(store, housekeeping.unredeemed_codes, NOW + 9_999) == 0
    assert await all_left(store, housekeeping.ended_grants, NOW + 999) == []
    replay = Refusal("replayed", "grant-of-code-1", grant_revoked=True)
    assert await redeem(store, now=NOW + 999) == replay
    assert await all_left(store, housekeeping.ended_grants, NOW + 998) == []
    assert await redeem(store, now=NOW + 1_100) == replay


async def test_a_grant_without_refresh_token_ends_with_its_access_token(store: Store) -> None:
    await people(store)
    await store.write(grants.add_code, code())
    assert isinstance(await redeem(store, refresh=None), Issue)
    assert await all_left(store, housekeeping.ended_grants, NOW + 86_399) == []
    assert await all_left(store, housekeeping.ended_grants, NOW + 86_400) == [1, 1]
    assert await sizes(store, *FAMILY) == [0, 0, 0]


async def test_no_batch_is_larger_than_it_may_be(store: Store) -> None:
    await people(store)
    for number in range(5):
        await granted(store, f"c{number}", f"f{number}-0")
        for step in range(4):
            await rotate(store, f"f{number}-{step}", f"f{number}-{step + 1}", now=NOW + step + 1)
    assert await sizes(store, *FAMILY) == [5, 25, 5]
    while before := sum(await sizes(store, *FAMILY)):
        assert await left(store, housekeeping.ended_grants, NOW + 20_000, 4)
        assert 0 < before - sum(await sizes(store, *FAMILY)) <= 4


async def test_a_code_that_nobody_redeemed_leaves_when_it_expired(store: Store) -> None:
    await people(store)
    for number in range(3):
        await store.write(grants.add_code, code(f"c{number}", expires_at=NOW + 60 + number))
    assert await left(store, housekeeping.unredeemed_codes, NOW + 59.9) == 0
    assert await left(store, housekeeping.unredeemed_codes, NOW + 61) == 2
    assert isinstance(await redeem(store, "c2", now=NOW + 61), Issue)


async def test_sessions_revocations_assertions_and_buckets_leave_at_their_end_the_oldest_first(store: Store) -> None:
    await people(store)
    for number in range(3):
        end = NOW + number
        await store.write(users.start_session, sha(f"s{number}"), "id-of-alice", "x", NOW - 9, end, None)
        await store.write(revocations.revoke, [Revocation("token", f"t{number}", NOW - 9, end)])
        await store.write(assertions.accept, sha(f"a{number}"), end, NOW - 99)
        await store.write(limits.take, [Bucket("account", sha(f"b{number}"), 3, 60.0 + number)], NOW - 60)
    steps = {
        schema.browser_sessions: housekeeping.ended_sessions,
        schema.revocations: housekeeping.past_revocations,
        schema.assertions: housekeeping.past_assertions,
        schema.failed_attempts: limits.forget,
    }
    for table, verb in steps.items():
        assert await left(store, verb, NOW - 0.001) == 0, table
        assert await left(store, verb, NOW + 1, 1) == 1, table
        ends = [row.get("expires_at", row.get("empty_at")) for row in await store.read(rows, table)]
        assert sorted(ends) == [NOW + 1, NOW + 2], table
        assert await all_left(store, verb, NOW + 1) == [1], table
    assert [entry.value for entry in (await store.read(revocations.since, 0, NOW))[1]] == ["t2"]


async def test_initial_access_tokens_leave_expired_or_used_up(store: Store) -> None:
    for number, (end, uses) in enumerate([(NOW, 5), (NOW + 1, 5), (NOW + 99, 1), (NOW + 99, 0)]):
        token = InitialAccessToken(sha(f"i{number}"), NOW - 9, end, uses)
        await store.write(initial_access_tokens.add, token)
    assert await left(store, housekeeping.ended_initial_access_tokens, NOW) == 2
    found = {row["token_hash"] for row in await store.read(rows, schema.initial_access_tokens)}
    assert found == {sha("i1"), sha("i2")}


async def test_clients_that_nobody_used_leave_and_all_others_stay(store: Store) -> None:
    for name, fields in {
        "unused": {"unused_until": NOW},
        "young": {"unused_until": NOW + 1},
        "used": {"unused_until": NOW, "last_used_at": NOW - 5},
        "document": {"source": "document"},
        "configured": {"source": "configured"},
    }.items():
        await store.write(clients.add, client(name, **fields))
    assert await left(store, registrations.forget, NOW) == 1
    kept = {row["client_id"] for row in await store.read(rows, schema.clients)}
    assert kept == {"young", "used", "document", "configured"}


async def document(store: Store, text: str) -> Client:
    found = client("https://app.example/client", source="document")
    await store.write(documents.remember, found, sha(text), NOW)
    return found


async def test_a_document_leaves_once_no_code_grant_or_consent_rests_on_it(store: Store) -> None:
    await people(store)
    for name in ("of a code", "of a grant", "of a consent", "of nothing"):
        found = await document(store, name)
    its = {"client_id": found.client_id}
    await store.write(grants.add_code, code("c1", document=sha("of a code"), **its))
    await store.write(grants.add_code, code("c2", document=sha("of a grant"), **its))
    assert isinstance(await redeem(store, "c2", **its), Issue)
    await store.write(lambda c: c.execute(text("DELETE FROM codes WHERE used_at IS NOT NULL")) and None)
    key = ("id-of-alice", found.client_id, "http://localhost/cb", (RESOURCE,))
    await store.write(users.consent, *key, ("mcp:read",), NOW, sha("of a consent"))

    async def digests() -> set[bytes]:
        return {row["digest"] for row in await store.read(rows, schema.client_documents)}

    removed, after, total = 0, b"", 0
    for _ in range(5):  # one at a time, the last page is short of one
        removed, after = await store.write(housekeeping.unreferenced_documents, after, 1)
        total += removed
    assert (total, after) == (1, b"")
    assert await digests() == {sha(f"of a {kind}") for kind in ("code", "grant", "consent")}
    await store.write(lambda c: [c.execute(text(f"DELETE FROM {t}")) for t in ("codes", "grants", "consents")] and None)  # noqa: S608
    assert await store.write(housekeeping.unreferenced_documents, b"", 3) == (
        3,
        max(map(sha, ["of a code", "of a grant", "of a consent"])),
    )
    assert await digests() == set()


async def test_the_audit_log_the_people_and_their_consents_stay(store: Store) -> None:
    await people(store)
    await granted(store)
    await store.write(users.consent, "id-of-alice", "c1", "http://localhost/cb", (RESOURCE,), ("mcp:read",), NOW)
    await store.write(
        lambda c: (
            c.execute(
                insert(schema.audit).values(
                    at=1, event="e", outcome="success", actor="", client_id="", address="", detail=""
                )
            )
            and None
        )
    )
    for step, _ in STEPS:
        await all_left(store, step, NOW + 10**9)
    assert await sizes(store, schema.audit, schema.users, schema.consents, schema.clients) == [1, 2, 1, 2]


async def test_it_is_one_process_s_turn_until_that_lets_it_lapse(pair: tuple[Store, Store]) -> None:
    def turn(number: int, now: float) -> Any:
        return pair[number].write(housekeeping.take_turn, f"process-{number}", now, 180)

    assert Counter(await asyncio.gather(*(turn(n % 2, NOW) for n in range(8)))) == {True: 4, False: 4}
    first = 0 if await turn(0, NOW) else 1
    assert await turn(first, NOW + 100)
    assert not await turn(1 - first, NOW + 279)
    assert await turn(1 - first, NOW + 280)
    assert not await turn(first, NOW + 280)
    # A clock that was far ahead has been put right.
    assert await turn(first, NOW + 280 - 10**6)


async def test_a_batch_out_of_turn_does_nothing(pair: tuple[Store, Store]) -> None:
    one, other = pair
    await people(one)
    await one.write(grants.add_code, code())
    assert await one.write(housekeeping.take_turn, "one", NOW, 180)
    batch = (housekeeping.unredeemed_codes, NOW + 99, 10)
    assert await other.write(housekeeping.in_turn, "other", NOW, 180, *batch) is None
    assert await one.read(count, schema.codes) == 1
    assert await one.write(housekeeping.in_turn, "one", NOW, 180, *batch) == 1


async def test_two_that_delete_at_once_do_not_delete_twice(pair: tuple[Store, Store]) -> None:
    await people(pair[0])
    for number in range(40):
        await granted(pair[0], f"c{number}", f"r{number}")
        await pair[0].write(users.start_session, sha(f"s{number}"), "id-of-alice", "x", NOW, NOW + 1, None)

    async def until_empty(store: Store, verb: Verb) -> int:
        return sum(await all_left(store, verb, NOW + 20_000, 10))

    for verb, expected in ((housekeeping.ended_sessions, 40), (housekeeping.ended_grants, 80)):
        assert sum(await asyncio.gather(*(until_empty(store, verb) for store in pair))) == expected
    assert await sizes(pair[0], *FAMILY, schema.browser_sessions) == [0, 0, 0, 0]


def plans(connection: Connection, run: Callable[[Connection], object]) -> list[str]:
    """How the engine runs each statement of a verb; a verb."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        seen.append((statement, parameters[0] if many else parameters))

    event.listen(connection.engine, "before_cursor_execute", note)
    run(connection)
    event.remove(connection.engine, "before_cursor_execute", note)
    postgresql = connection.dialect.name == "postgresql"
    if postgresql:  # small tables are read whole by themselves; so shows what could not be done otherwise
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
    explain = "EXPLAIN" if postgresql else "EXPLAIN QUERY PLAN"
    found = []
    for statement, parameters in seen:
        lines = connection.exec_driver_sql(f"{explain} {statement}", parameters).all()
        found += [str(line[0] if postgresql else line[3]) for line in lines]
    return found


@pytest.mark.parametrize("verb", [step for step, _ in STEPS] + [housekeeping.unreferenced_documents])
async def test_no_table_is_read_whole(store: Store, verb: Any) -> None:
    await people(store)
    await granted(store)
    await store.write(grants.add_code, code("unredeemed"))
    await store.write(clients.add, client("unused", unused_until=NOW))
    await store.write(limits.take, [Bucket("account", sha("b"), 3, 1.0)], NOW)
    await store.write(users.start_session, sha("s"), "id-of-alice", "x", NOW, NOW, None)
    await store.write(revocations.revoke, [Revocation("token", "t", NOW, NOW), Revocation("token", "u", NOW, NOW)])
    await store.write(assertions.accept, sha("a"), NOW, NOW - 9)
    await document(store, "d")
    start = b"" if verb is housekeeping.unreferenced_documents else NOW + 20_000
    found: list[str] = []
    for _ in range(4):  # a grant's tokens, code and row leave in batches of their own
        found += await store.write(plans, lambda c: verb(c, start, 100))
    assert len(found) > 3
    whole = [line for line in found if "Seq Scan" in line or line.startswith("SCAN ")]
    if verb is housekeeping.ended_initial_access_tokens:  # what an operator made by hand, a few rows
        assert all("initial_access_tokens" in line for line in whole)
    else:
        assert whole == [], "\n".join(found)


def test_whatever_leaves_finds_by_an_index_what_leaves_with_it() -> None:
    for table in schema.metadata.tables.values():
        led = {next(iter(index.columns)).name for index in table.indexes} | {next(iter(table.primary_key)).name}
        keys = [key for key in table.constraints if hasattr(key, "elements")]
        for key in keys:
            assert all(isinstance(element, ForeignKey) for element in key.elements)
            assert {column.name for column in key.columns} <= led, table.name
