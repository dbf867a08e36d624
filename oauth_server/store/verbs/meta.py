"""Named values that belong to the whole installation, and the signing keys."""

from sqlalchemy import Connection, select

from oauth_server.store.records import KeyUse, SigningKey
from oauth_server.store.schema import meta, signing_keys
from oauth_server.store.verbs.revocations import bump
from oauth_server.store.verbs.upsert import insert_if_absent, put


def get(connection: Connection, name: str) -> str | None:
    """The value of that name, None where it was never set."""
    value: str | None = connection.execute(select(meta.c.value).where(meta.c.name == name)).scalar()
    return value


def remember(connection: Connection, name: str, value: str) -> None:
    """Set a value, replacing an older one."""
    put(connection, meta, {"name": name}, {"value": value})


def get_or_create(connection: Connection, name: str, value: str) -> str:
    """The value of that name; the given one becomes it where there is none yet, once for all processes."""
    insert_if_absent(connection, meta, {"name": name, "value": value})
    return get(connection, name) or value


def lock(connection: Connection, name: str) -> None:
    """Hold a lock of that name until the transaction ends; whoever waits for it reads what the holder left."""
    insert_if_absent(connection, meta, {"name": name, "value": ""})
    connection.execute(select(meta.c.name).where(meta.c.name == name).with_for_update())


def list_keys(connection: Connection) -> list[SigningKey]:
    """All signing keys, the newest first."""
    rows = connection.execute(select(signing_keys).order_by(signing_keys.c.created_at.desc())).mappings()
    return [SigningKey(**dict(row)) for row in rows]


def add_key_if_none(connection: Connection, use: KeyUse, alg: str, key: SigningKey) -> bool:
    """Store a key unless one for this use and algorithm is there; True when it was stored.

    The lock on the epoch row makes two processes that start together agree on one key.
    """
    bump(connection)
    found = connection.execute(
        select(signing_keys.c.kid).where(signing_keys.c.use == use, signing_keys.c.alg == alg).limit(1)
    ).scalar()
    if found is not None:
        return False
    connection.execute(
        signing_keys.insert().values(
            kid=key.kid, use=key.use, alg=key.alg, private_pem=key.private_pem, created_at=key.created_at
        )
    )
    return True
