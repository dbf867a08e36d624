"""What is asked of a store at each request, and by housekeeping, finds its rows by an index, however many there are."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, event, text

from oauth_server.app.compose import open_services
from oauth_server.core.deployment import deploy
from oauth_server.core.housekeeping import Housekeeping
from oauth_server.core.settings import load
from oauth_server.store.engines import open_engines
from oauth_server.store.schema import metadata
from oauth_server.store.store import Store
from oauth_server.store.verbs import administration, clients, documents, grants, introspection, registrations, users
from tests.support.clock import ManualClock, at_once
from tests.support.soak import ENV, Soak
from tests.support.stored import sha

# A row for the installation, for each key or lane of the audit log, or for what an operator made by hand.
FEW = {
    "alembic_version",
    "epoch",
    "meta",
    "signing_keys",
    "form_secrets",
    "audit_heads",
    "audit_anchors",
    "initial_access_tokens",
}

# Indexes of a few rows, and those whose first rows are all that a list needs.
FIRST = {"clients_configured", "clients_by_age", "grants_by_age"}


@contextmanager
def heard() -> Iterator[dict[str, Any]]:
    """Every statement on rows that an engine runs meanwhile, with what it was given."""
    found: dict[str, Any] = {}

    def listen(_connection: Any, _cursor: Any, statement: str, values: Any, _context: Any, many: bool) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "UPDATE", "DELETE", "INSERT", "WITH")):
            its = values[0] if many else values
            found[statement] = its if isinstance(its, dict) else tuple(its)

    event.listen(Engine, "before_cursor_execute", listen)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", listen)


def read_whole(connection: Connection, statement: str, values: Any) -> set[str]:
    """The tables of which a statement reads all rows, or sorts them."""
    if connection.dialect.name == "sqlite":
        steps = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
        # The first rows in the order of an index, or of the table, are as many as are asked for.
        some = "LIMIT" in statement.split() and "WHERE" not in statement.split() and not any("TEMP" in s for s in steps)
        scans = [step.split() for step in steps if step.startswith("SCAN ")]
        return set() if some else {step[1] for step in scans if step[-1] not in FIRST} - {"CONSTANT"}
    plan = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", values).scalar_one()
    return set(_read_whole((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"], limited=False))


def _read_whole(node: dict[str, Any], *, limited: bool) -> Iterator[str]:
    kind = node["Node Type"]
    some = "Index Cond" in node or (limited and "Filter" not in node) or node.get("Index Name") in FIRST
    by_index = "Index" in kind and some
    if "Scan" in kind and "Relation Name" in node and not by_index and kind != "Bitmap Heap Scan":
        yield node["Relation Name"]
    for inner in node.get("Plans", ()):
        # What is sorted before it is cut has been read whole.
        yield from _read_whole(inner, limited=kind == "Limit" or (limited and "Sort" not in kind))


def _keep_unknown(database: str) -> None:
    """Have PostgreSQL not find out how few rows there are, as it does at a moment of its own: any plan is as good then."""
    Store(database).close()
    engine, _ = open_engines(database)
    with engine.begin() as connection:
        for table in metadata.sorted_tables if engine.dialect.name == "postgresql" else ():
            connection.execute(text(f"ALTER TABLE {table.name} SET (autovacuum_enabled = false)"))
    engine.dispose()


async def live(database: str, clock: ManualClock) -> None:
    """A few days of everything that clients and people do, with housekeeping."""
    settings = load({**ENV, "MCP_OAUTH_DATABASE_URL": database})
    deployment = deploy(settings, "127.0.0.1", 8000)
    async with open_services(settings, lambda _: deployment, serves_http=True, clock=clock) as opened:
        services = opened.services
        soak = Soak(services, clock)
        await soak.begin()
        keeping = Housekeeping(services.store, clock, sleep=at_once, audit_days=5)
        for _ in range(12):
            await soak.day(2)
            await keeping.round()
        await ask(services.store, soak)
        token = services.tokens.issue_access(
            subject="id-of-soak", client_id="soak", scope=("mcp:read",), audience="a", grant_id="g"
        )
        read = await services.tokens.verify(token)
        await services.revoked.confirmed(read.revocable, clock(), "g")
        await services.rate_limits.reconcile()


async def ask(store: Store, soak: Soak) -> None:
    """What the other endpoints read and change."""
    now, its = soak.clock(), (soak.person.user_id, soak.public.client_id)
    await store.read(introspection.live_refresh, sha("a token"), now)
    await store.read(registrations.shared, sha("a client"), now)
    await store.read(users.session, sha("a session"), now)
    await store.read(users.consented, *its, "https://app.example/callback", ("r",))
    await store.read(documents.of_refresh, soak.public, sha("a token"))
    await store.read(documents.of_code, soak.public, sha("a code"))
    await store.read(documents.of_grant, soak.public, "a grant")
    await store.read(clients.newest, 100, now)
    await store.read(grants.live, now, 100)
    await store.read(administration.held_by, its[0], now)
    await store.read(administration.grants_of_client, its[1], now)
    await store.write(administration.disable, its[0], now, now + 1)


async def test_no_request_and_no_round_of_housekeeping_reads_a_table_that_grows(
    empty_database: str, clock: ManualClock
) -> None:
    _keep_unknown(empty_database)
    with heard() as statements:
        await live(empty_database, clock)
    assert len(statements) > 80
    engine, _ = open_engines(empty_database)
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET enable_seqscan = off"))  # with so few rows it is cheaper
        whole = {statement: read_whole(connection, statement, values) - FEW for statement, values in statements.items()}
    engine.dispose()
    assert {statement: tables for statement, tables in whole.items() if tables} == {}
