"""Stores of any size, filled past the server, with clients and refresh tokens that a load can use."""

import base64
import contextlib
import hashlib
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from oauth_server.store.engines import parse_url
from oauth_server.store.schema import metadata

DAY: Final = 86_400
TOKENS_OF_A_GRANT: Final = 5  # refresh tokens: all but the last were replaced
SCOPE: Final = "mcp:read mcp:write"


@dataclass(frozen=True)
class Size:
    """How many of each there are."""

    clients: int
    refresh_tokens: int
    revocations: int

    @property
    def grants(self) -> int:
        """As many as families of refresh tokens; the clients have them in turn."""
        return max(1, self.refresh_tokens // TOKENS_OF_A_GRANT)


@dataclass(frozen=True)
class Actor:
    """A client that authenticates, and a refresh token that it holds."""

    client_id: str
    secret: str
    refresh_token: str


def _named(kind: str, number: int) -> str:
    """A name like those the server makes: it says nothing, and lies anywhere in an index."""
    return base64.urlsafe_b64encode(_hash(f"{kind} {number}")[:16]).rstrip(b"=").decode()


def _hash(what: str) -> bytes:
    return hashlib.sha256(what.encode()).digest()


def actor(size: Size, number: int) -> Actor:
    """The one who holds the current refresh token of that grant."""
    client = number % size.clients
    return Actor(_named("client", client), f"secret {client}", f"token {number} {TOKENS_OF_A_GRANT - 1}")


def fill(url: str, size: Size, resource: str) -> float:
    """Add rows to a store that a server made; how many seconds it took. The grants are for that resource.

    Nobody else may use it meanwhile. Its indexes are made anew at the end, and its statistics.
    """
    started = time.perf_counter()
    engine = create_engine(parse_url(url))
    indexes = [index for table in metadata.sorted_tables for index in table.indexes]
    with engine.begin() as connection:
        for index in indexes:
            index.drop(connection)
    engine.dispose()  # no file is left open
    with _target(url) as target:
        for table, columns, rows in _tables(size, resource):
            target(table, columns, rows)
    with engine.begin() as connection:
        for index in indexes:
            index.create(connection)
        connection.execute(text("INSERT INTO epoch (id, value) VALUES (1, 0) ON CONFLICT DO NOTHING"))
        connection.execute(text("UPDATE epoch SET value = value + :more"), {"more": size.revocations})
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
            connection.execute(text("CHECKPOINT"))
    engine.dispose()
    return time.perf_counter() - started


@contextlib.contextmanager
def _target(url: str) -> Iterator[Any]:
    """A function that adds rows to a table, as fast as each engine can."""
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(str(make_url(url).database), isolation_level=None)) as connection:
            for pragma in ("synchronous=OFF", "cache_size=-2000000", "foreign_keys=OFF", "journal_mode=DELETE"):
                connection.execute(f"PRAGMA {pragma}")
            connection.execute("PRAGMA journal_mode=OFF")

            def insert(table: str, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
                places = ", ".join("?" * len(columns))
                connection.execute("BEGIN")
                into = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})"  # noqa: S608 - our own names
                connection.executemany(into, rows)
                connection.execute("COMMIT")

            yield insert
            connection.execute("PRAGMA journal_mode=WAL")
        return
    with psycopg.connect(url) as there:
        there.execute("SET session_replication_role = replica")  # no foreign key is looked up

        def copy(table: str, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
            with there.cursor().copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN".encode()) as written:
                for row in rows:
                    written.write_row(row)

        yield copy


def _tables(size: Size, resource: str) -> Iterator[tuple[str, Sequence[str], Iterable[tuple[Any, ...]]]]:
    now = time.time()
    people = max(1, size.clients // 10)
    columns: tuple[str, ...]
    columns = ("user_id", "username", "password_hash", "scope", "display_name", "email")
    columns = (*columns, "must_change_password", "disabled", "created_at")
    users = ((_named("user", n), f"user{n}", "x", SCOPE, "", "", False, False, now - DAY) for n in range(people))
    yield "users", columns, users
    yield "clients", _CLIENT, _clients(size, now)
    columns = ("grant_id", "user_id", "client_id", "scope", "resources", "auth_time", "created_at", "expires_at")
    says = (SCOPE, resource, now - DAY, now - DAY, now + 150 * DAY)
    held = ((_named("user", n % people), _named("client", n % size.clients)) for n in range(size.grants))
    yield "grants", columns, ((_named("grant", n), *holder, *says) for n, holder in enumerate(held))
    yield "refresh_tokens", _TOKEN, _refresh_tokens(size, now)
    # As those of access tokens: what ended for good ends whatever was issued before its own end.
    columns = ("kind", "value", "revoked_at", "expires_at", "epoch")
    ends = now + DAY
    named = ((("token", "grant")[n % 2], _named("revoked", n)) for n in range(size.revocations))
    yield "revocations", columns, ((*name, ends, ends, epoch) for epoch, name in enumerate(named, 1))


_CLIENT: Final = (
    *("client_id", "name", "secret_hash", "auth_method", "redirect_uris", "grant_types", "scope"),
    *("application_type", "source", "metadata", "created_at", "last_used_at"),
)


def _clients(size: Size, now: float) -> Iterator[tuple[Any, ...]]:
    uris, grant_types = (
        json.dumps(["https://client.example/callback"]),
        json.dumps(["authorization_code", "refresh_token"]),
    )
    said = (uris, grant_types, SCOPE, "web", "registered", "{}")
    for number in range(size.clients):
        its = (_named("client", number), f"Client {number}", _hash(f"secret {number}"), "client_secret_basic")
        yield (*its, *said, now - DAY, now - DAY)


_TOKEN: Final = (
    *("token_hash", "grant_id", "issued_at", "idle_until", "used_at", "successor_hash", "predecessor_hash"),
)


def _refresh_tokens(size: Size, now: float) -> Iterator[tuple[Any, ...]]:
    last = TOKENS_OF_A_GRANT - 1
    for number in range(size.grants):
        grant_id = _named("grant", number)
        hashes = [_hash(f"token {number} {place}") for place in range(TOKENS_OF_A_GRANT)]
        for place in range(last):
            at = now - DAY + place
            before = hashes[place - 1] if place else None
            yield hashes[place], grant_id, at, at + 30 * DAY, at + 1, hashes[place + 1], before
        yield hashes[last], grant_id, now - DAY + last, now + 29 * DAY, None, None, hashes[last - 1]
