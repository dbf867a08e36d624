"""Clients that anybody registers: identical ones shared, all of them bounded, those that nobody used forgotten."""

from typing import Final

from sqlalchemy import Connection, Integer, and_, bindparam, delete, func, select, update

from oauth_server.store.at_once import by_key
from oauth_server.store.records import Bounds, Bucket, Client, Full, TooMany
from oauth_server.store.schema import clients
from oauth_server.store.statements import Statement
from oauth_server.store.verbs import initial_access_tokens, limits
from oauth_server.store.verbs.clients import add
from oauth_server.store.verbs.meta import lock
from oauth_server.store.verbs.rows import client_of

FORGOTTEN_AFTER: Final = 3600  # seconds after its end: by then no request that still knew the client is under way
FORGOTTEN_AT_ONCE: Final = 50  # rows; a registration adds one at most, so whatever has ended is gone soon
_LOCK: Final = "registration_lock"
_UNUSED: Final = clients.c.last_used_at.is_(None)
_ENDED: Final = and_(_UNUSED, clients.c.unused_until <= bindparam("at"))
_SAME: Final = clients.c.fingerprint == bindparam("print")
_LASTING: Final = Statement(select(clients).where(_SAME, ~_UNUSED | (clients.c.unused_until > bindparam("until"))))
_FORGOTTEN: Final = Statement(
    select(clients.c.client_id)
    .where(_ENDED)
    .order_by(clients.c.unused_until)
    .limit(bindparam("most", type_=Integer()))
    .with_for_update(skip_locked=True)
)
_DELETE: Final = Statement(delete(clients).where(clients.c.client_id == bindparam("of")))
_LET_GO: Final = Statement(update(clients).where(_SAME, _ENDED).values(fingerprint=None))
_RENEW: Final = Statement(update(clients).where(_SAME, _UNUSED).values(unused_until=bindparam("until")))
_FIND: Final = Statement(select(clients).where(_SAME))
_WAITING: Final = Statement(
    select(func.count().label("found"), func.min(clients.c.unused_until).label("first")).where(
        _UNUSED, clients.c.unused_until > bindparam("now")
    )
)


def register(
    connection: Connection,
    client: Client,
    bounds: Bounds,
    source_key: bytes,
    now: float,
    wider: tuple[Bucket, ...] = (),
) -> Client | TooMany:
    """Store a client that anybody registered, or say why not.

    One with a fingerprint is shared: the answer is the client that has it already, which then ends no sooner than this
    one would. Sharing is not bounded, for it stores nothing. `source_key` names the bucket of whoever registers: it
    counts what was stored, so that whoever deletes clients again gains nothing. `wider` are the
    buckets of the networks around.
    """
    # Counted, compared and stored by one at a time, so that no bound and no fingerprint is passed by two at once.
    lock(connection, _LOCK)
    forget(connection, now - FORGOTTEN_AFTER, FORGOTTEN_AT_ONCE)
    known = None if client.fingerprint is None else _shared(connection, client, client.fingerprint, now)
    if known is not None:
        return known
    exceeded = _exceeded(connection, source_key, bounds, now, wider)
    if exceeded is None:
        add(connection, client)
    return exceeded or client


@by_key
def shared(connection: Connection, fingerprint: bytes, until: float) -> Client | None:
    """The client with that fingerprint, if it was used or ends unused later than `until`."""
    row = _LASTING.first(connection, print=fingerprint, until=until)
    return None if row is None else client_of(row)


def register_with_token(connection: Connection, client: Client, token_hash: bytes, now: float) -> bool:
    """Store a client by one use of an initial access token; False, and nothing is stored, where it has none left."""
    if not initial_access_tokens.use(connection, token_hash, now):
        return False
    add(connection, client)
    return True


def forget(connection: Connection, at: float, limit: int) -> int:
    """Delete at most `limit` of the clients that had ended unused by then, to which no token was issued; how many."""
    found = _FORGOTTEN.all(connection, at=at, most=limit)
    if found:
        _DELETE.run_each(connection, [{"of": row["client_id"]} for row in found])
    return len(found)


def _shared(connection: Connection, client: Client, fingerprint: bytes, now: float) -> Client | None:
    # One that has ended is unknown, and stays so: whoever registers now gets another.
    _LET_GO.run(connection, print=fingerprint, at=now)
    _RENEW.run(connection, print=fingerprint, until=client.unused_until)
    row = _FIND.first(connection, print=fingerprint)
    return None if row is None else client_of(row)


def _exceeded(
    connection: Connection, source_key: bytes, bounds: Bounds, now: float, wider: tuple[Bucket, ...]
) -> TooMany | None:
    waiting = _WAITING.first(connection, now=now)
    if waiting is not None and waiting["found"] >= bounds.unused:
        return TooMany("unused", waiting["first"])
    bucket = Bucket("registration", source_key, bounds.from_source, bounds.window / bounds.from_source)
    full = limits.take(connection, (bucket, *wider), now)
    if not isinstance(full, Full):
        return None
    return TooMany("from_source", full.until, "" if full.bucket is bucket else full.bucket.kind)
