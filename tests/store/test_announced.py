"""What a look at the revocations costs: as much as there is news, by an index, in pages of any size."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, event, text, update

from oauth_server.core.revocation import RevocationFilter
from oauth_server.store.errors import StoreUnavailableError
from oauth_server.store.records import Announced, Position, Revocation
from oauth_server.store.schema import epoch
from oauth_server.store.schema import revocations as table
from oauth_server.store.store import Store
from oauth_server.store.verbs import revocations
from tests.support.clock import ManualClock

NOW = 1_000_000.0


async def everything(store: Store, limit: int) -> list[tuple[str, str, float]]:
    """Read page by page, as a process does after its start."""
    known, found = revocations.BEGINNING, []
    while True:
        page = await store.read(revocations.since, known, NOW, limit)
        found += page.entries
        if not page.more:
            return found
        assert page.known != known
        known = page.known


@pytest.mark.requirement("attack-64")
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from(["token", "grant", "all"]), st.text("aAbBzZéß-_ 19", max_size=3)), max_size=9
        ),
        max_size=6,
    ),
    st.integers(1, 12),
)
async def test_pages_hold_every_live_revocation_once(
    store: Store, announced: list[list[tuple[Any, str]]], limit: int
) -> None:
    await store.write(lambda connection: connection.execute(delete(table)))
    live: dict[tuple[str, str], float] = {}
    for number, entries in enumerate(announced):
        until = NOW + number - 1  # what was announced first has expired, or does so now
        live |= dict.fromkeys(entries, until)
        await store.write(revocations.revoke, [Revocation(*entry, NOW, until) for entry in entries])
    found = await everything(store, limit)
    assert sorted(found) == sorted((*entry, until) for entry, until in live.items() if until > NOW)


async def test_a_look_reads_what_is_new_by_an_index_and_nothing_where_nothing_is(store: Store) -> None:
    many = [Revocation("token", f"t{number}", NOW, NOW + 9) for number in range(3000)]
    await store.write(revocations.revoke, many)
    await store.write(revocations.revoke, [Revocation("token", "last", NOW, NOW + 9)])
    said: list[tuple[str, Any]] = []

    def listen(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            said.append((statement, values))

    event.listen(store._read_engine, "before_cursor_execute", listen)
    known: Position = (2, "", "")
    found = await store.read(revocations.since, known, NOW, 5000)
    assert found.entries == [("token", "last", NOW + 9)]
    assert len(said) == 2
    assert await store.read(revocations.since, found.known, NOW, 5000) == Announced(found.known, [], more=False)
    assert len(said) == 3
    statement, values = said[1]
    if store.engine_name == "sqlite":
        await store.write(lambda connection: connection.execute(text("ANALYZE")))
        plan = await store.read(lambda c: c.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all())
        (step,) = [row[3] for row in plan]
        assert step.startswith("SEARCH revocations USING COVERING INDEX revocations_by_epoch (")
    else:
        await store.write(lambda connection: connection.execute(text("ANALYZE revocations")))
        plan = await store.read(lambda c: c.exec_driver_sql(f"EXPLAIN {statement}", values).all())
        steps = "\n".join(row[0] for row in plan)
        assert "revocations_by_epoch" in steps
        assert "Index Cond" in steps
        assert "Sort" not in steps


def lose(connection: Connection, number: int) -> None:
    """What a failover does to a replica that had not received the last commits; a verb."""
    connection.execute(update(epoch).values(value=epoch.c.value - number))
    left = revocations.current_epoch(connection)
    connection.execute(delete(table).where(table.c.epoch > left))


async def revoke(store: Store, *values: str) -> None:
    """Each under an epoch of its own."""
    for value in values:
        await store.write(revocations.revoke, [Revocation("token", value, NOW, NOW + 100)])


@pytest.mark.requirement("attack-64")
@pytest.mark.parametrize(("lost", "later"), [(1, 0), (3, 1), (3, 2), (5, 2)])
async def test_after_commits_were_lost_all_is_read_anew(store: Store, lost: int, later: int) -> None:
    clock = ManualClock(NOW)
    found, heard = RevocationFilter(store, clock, ManualClock(0.0)), []
    await revoke(store, *(f"before{n}" for n in range(5)))
    await found.refresh()

    async def reload() -> None:
        heard.append("keys")

    found.on_key_change(reload)
    found.on_change(lambda: heard.append("change"))
    await store.write(lose, lost)
    await revoke(store, *(f"after{n}" for n in range(later)))
    await found.refresh()
    assert heard == ["change", "keys"]  # what was kept in memory may be what was lost
    assert found.suspects((("token", "other"),))  # as long as it is not read
    await found.refresh()
    assert not found.suspects((("token", "other"),))
    for n in range(later):
        assert found.suspects((("token", f"after{n}"),))
    await revoke(store, "last")
    await found.refresh()
    assert found.suspects((("token", "last"),))


@pytest.mark.requirement("attack-64")
async def test_commits_that_are_lost_while_pages_are_read_are_noticed(store: Store) -> None:
    many = [Revocation("token", f"t{number}", NOW, NOW + 9) for number in range(5)]
    await revoke(store, "first")
    await store.write(revocations.revoke, many)
    page = await store.read(revocations.since, revocations.BEGINNING, NOW, 3)
    assert page.known[0] == 2
    await store.write(lose, 1)
    again = await store.read(revocations.since, page.known, NOW, 3)
    assert again == Announced(revocations.BEGINNING, [], more=True)


@pytest.mark.requirement("attack-64")
async def test_after_a_look_that_failed_commits_may_have_been_lost_and_as_many_made_since(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, heard = RevocationFilter(store, ManualClock(NOW), ManualClock(0.0)), []

    async def reload() -> None:
        heard.append("keys")

    found.on_key_change(reload)
    found.on_change(lambda: heard.append("change"))
    await revoke(store, *(f"before{n}" for n in range(5)))
    await found.refresh()
    heard.clear()
    monkeypatch.setattr(store, "read", unavailable)
    with pytest.raises(StoreUnavailableError):
        await found.refresh()
    assert not found.suspects((("token", "other"),))  # what is known counts while the database is away
    monkeypatch.undo()
    await store.write(lose, 3)
    await revoke(store, *(f"after{n}" for n in range(3)))
    await found.refresh()
    assert heard == ["change", "keys"]
    assert found.suspects((("token", "after0"),))
    assert not found.suspects((("token", "other"),))
    await found.refresh()
    assert heard == ["change", "keys"]


async def unavailable(*_: object) -> None:
    """A read of a database that is away."""
    raise StoreUnavailableError("no answer")
