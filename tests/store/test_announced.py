"""What a look at the revocations costs: as much as there is news, by an index, in pages of any size."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, event, text

from oauth_server.store.records import Announced, Position, Revocation
from oauth_server.store.schema import revocations as table
from oauth_server.store.store import Store
from oauth_server.store.verbs import revocations

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
