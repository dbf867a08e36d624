"""Clients: found, listed, stored, replaced and removed."""

from collections.abc import Collection
from dataclasses import asdict
from dataclasses import replace as with_fields
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, bindparam, delete, insert, or_, select, update

from oauth_server.store.at_once import by_key
from oauth_server.store.records import Client
from oauth_server.store.schema import clients, codes, consents
from oauth_server.store.statements import Statement
from oauth_server.store.verbs.revocations import bump, end, readmit
from oauth_server.store.verbs.rows import client_of
from oauth_server.store.verbs.upsert import put

_SELECT = select(clients)
_FIELDS: Final = tuple(Client.__dataclass_fields__)
# What a client may change about itself (RFC 7592 section 2.2); the rest is the store's own.
_REPLACED: Final = (
    "name",
    "secret_hash",
    "auth_method",
    "redirect_uris",
    "grant_types",
    "scope",
    "application_type",
    "metadata",
    "registration_token_hash",
)


def _values(client: Client) -> dict[str, Any]:
    return asdict(client) | {"redirect_uris": list(client.redirect_uris), "grant_types": list(client.grant_types)}


def not_ended(now: float | ColumnElement[float]) -> ColumnElement[bool]:
    """The clients that did not end unused at or before `now` (Unix seconds)."""
    return or_(clients.c.last_used_at.is_not(None), clients.c.unused_until.is_(None), clients.c.unused_until > now)


_FIND: Final = Statement(_SELECT.where(clients.c.client_id == bindparam("of"), not_ended(bindparam("now"))))
_ADD: Final = Statement(insert(clients).inline().values({name: bindparam(name) for name in _FIELDS}))
_USE: Final = Statement(
    update(clients).where(clients.c.client_id == bindparam("of")).values(last_used_at=bindparam("now"))
)


@by_key
def find(connection: Connection, client_id: str, now: float = 0.0) -> Client | None:
    """The client of that id, unless it ended unused by `now`."""
    row = _FIND.first(connection, of=client_id, now=now)
    return None if row is None else client_of(row)


def newest(connection: Connection, limit: int, now: float = 0.0) -> list[Client]:
    """The clients registered last, the newest first, without those that ended unused by `now`."""
    statement = _SELECT.where(not_ended(now)).order_by(clients.c.created_at.desc()).limit(limit)
    return [client_of(row) for row in connection.execute(statement).mappings()]


def add(connection: Connection, client: Client) -> None:
    """Store a new client."""
    _ADD.run(connection, **_values(client))


def configure(connection: Connection, client: Client, now: float, until: float) -> bool:
    """Make the pre-registered client what the configuration says; one that was configured before it leaves.

    True where that changed something.
    """
    before = connection.execute(
        _SELECT.where(clients.c.source == "configured", clients.c.client_id != client.client_id)
    ).mappings()
    for row in before.all():
        remove(connection, row["client_id"], until)
    known = find(connection, client.client_id)
    if known is None:
        readmit(connection, "client", client.client_id, now)
    else:
        client = with_fields(client, created_at=known.created_at, last_used_at=known.last_used_at)
    values = _values(client)
    client_id = values.pop("client_id")
    put(connection, clients, {"client_id": client_id}, values)
    if client == known:
        return False
    bump(connection)  # others keep clients in memory
    return True


def replace(connection: Connection, client: Client, token_hash: bytes, consented: Collection[str]) -> bool:
    """Make a client what it says of itself now, if `token_hash` is still its registration access token's.

    Consents stay only for the redirect URIs of `consented`, in the form in which they are remembered.
    """
    values = _values(client)
    statement = update(clients).where(
        clients.c.client_id == client.client_id, clients.c.registration_token_hash == token_hash
    )
    if not connection.execute(statement.values({name: values[name] for name in _REPLACED})).rowcount:
        return False
    connection.execute(
        delete(consents).where(consents.c.client_id == client.client_id, consents.c.redirect_uri.not_in(consented))
    )
    bump(connection)  # others keep clients in memory
    return True


@by_key
def use(connection: Connection, client_id: str, now: float) -> bool:
    """Note that a client was given a token of its own; False when it is gone."""
    return bool(_USE.run(connection, of=client_id, now=now))


def remove(connection: Connection, client_id: str, until: float, token_hash: bytes | None = None) -> bool:
    """Delete a client with everything issued to it; its access tokens end. True when there was one.

    With `token_hash`, only if that is its registration access token's.
    """
    statement = delete(clients).where(clients.c.client_id == client_id)
    if token_hash is not None:
        statement = statement.where(clients.c.registration_token_hash == token_hash)
    # Codes first: a redemption under way holds its code's lock, and is about to take the client's.
    connection.execute(delete(codes).where(codes.c.client_id == client_id))
    found = bool(connection.execute(statement).rowcount)
    if found:
        end(connection, "client", [client_id], until)
    return found
