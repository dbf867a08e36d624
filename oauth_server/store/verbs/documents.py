"""Clients known by their metadata documents, as they were consented to."""

from dataclasses import asdict
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, select

from oauth_server.store.at_once import by_key
from oauth_server.store.records import Client
from oauth_server.store.schema import client_documents, clients, codes, grants, refresh_tokens
from oauth_server.store.verbs import clients as verbs
from oauth_server.store.verbs.revocations import readmit
from oauth_server.store.verbs.upsert import put

# What a document says of a client; the rest is the store's own.
_SAID: Final = ("name", "auth_method", "redirect_uris", "grant_types", "scope", "application_type", "metadata")


def remember(connection: Connection, client: Client, digest: bytes, now: float) -> None:
    """Keep what the document says: under its digest for those who consented to it, and as what the client is now."""
    values = asdict(client)
    said: dict[str, Any] = {name: values[name] for name in _SAID}
    known = verbs.find(connection, client.client_id)
    if known is None:
        readmit(connection, "client", client.client_id, now)
        known = client
    row = said | {"redirect_uris": list(client.redirect_uris), "grant_types": list(client.grant_types)}
    row |= {"source": known.source, "created_at": known.created_at}
    put(connection, clients, {"client_id": client.client_id}, row)
    put(connection, client_documents, {"digest": digest}, {"client_id": client.client_id, "document": said})


@by_key
def of_code(connection: Connection, client: Client, code_hash: bytes) -> Client:
    """The client as its document was when the code was consented to; as it is now where it has no such code."""
    return _consented(connection, client, codes, codes.c.code_hash == code_hash)


@by_key
def of_refresh(connection: Connection, client: Client, token_hash: bytes) -> Client:
    """The client as its document was when the grant of a refresh token was consented to; else as it is now."""
    grant = select(refresh_tokens.c.grant_id).where(refresh_tokens.c.token_hash == token_hash)
    return _consented(connection, client, grants, grants.c.grant_id == grant.scalar_subquery())


@by_key
def of_grant(connection: Connection, client: Client, grant_id: str) -> Client:
    """The client as its document was when the grant was consented to; as it is now where it has no such grant."""
    return _consented(connection, client, grants, grants.c.grant_id == grant_id)


def _consented(connection: Connection, client: Client, table: Table, its: ColumnElement[bool]) -> Client:
    digest = select(table.c.document).where(its, table.c.client_id == client.client_id)
    statement = select(client_documents.c.document).where(client_documents.c.digest == digest.scalar_subquery())
    said: dict[str, Any] | None = connection.execute(statement).scalar()
    if said is None:
        return client
    words = {name: tuple(said[name]) for name in ("redirect_uris", "grant_types", "scope")}
    values: dict[str, Any] = {name: getattr(client, name) for name in Client.__dataclass_fields__} | said | words
    return Client(**values)
