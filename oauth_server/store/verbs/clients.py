"""Registered clients."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from oauth_server.store.records import Client, Revocation
from oauth_server.store.schema import clients
from oauth_server.store.verbs.revocations import revoke
from oauth_server.store.verbs.rows import client_of
from oauth_server.store.verbs.upsert import put

_SELECT = select(clients)


def _values(client: Client) -> dict[str, Any]:
    return asdict(client) | {"redirect_uris": list(client.redirect_uris), "grant_types": list(client.grant_types)}


def find(connection: Connection, client_id: str) -> Client | None:
    """The client of that id."""
    row = connection.execute(_SELECT.where(clients.c.client_id == client_id)).mappings().first()
    return None if row is None else client_of(row)


def newest(connection: Connection, limit: int) -> list[Client]:
    """The clients registered last, the newest first."""
    rows = connection.execute(_SELECT.order_by(clients.c.created_at.desc()).limit(limit)).mappings()
    return [client_of(row) for row in rows]


def add(connection: Connection, client: Client) -> None:
    """Store a new client."""
    connection.execute(insert(clients).values(**_values(client)))


def configure(connection: Connection, client: Client, now: float, until: float) -> None:
    """Make the pre-registered client what the configuration says; one that was configured before it leaves."""
    before = connection.execute(
        _SELECT.where(clients.c.source == "configured", clients.c.client_id != client.client_id)
    ).mappings()
    for row in before.all():
        remove(connection, row["client_id"], now, until)
    known = find(connection, client.client_id)
    values = _values(client)
    if known is not None:
        values |= {"created_at": known.created_at, "last_used_at": known.last_used_at}
    client_id = values.pop("client_id")
    put(connection, clients, {"client_id": client_id}, values)


def remove(connection: Connection, client_id: str, now: float, until: float) -> bool:
    """Delete a client with everything issued to it; its access tokens end. True when there was one."""
    found = bool(connection.execute(delete(clients).where(clients.c.client_id == client_id)).rowcount)
    if found:
        revoke(connection, [Revocation("client", client_id, now, until)])
    return found
