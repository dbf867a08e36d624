"""What a refresh token stands for (RFC 7662)."""

from typing import Final

from sqlalchemy import Connection, bindparam, select

from oauth_server.store.at_once import by_key
from oauth_server.store.records import LiveRefresh
from oauth_server.store.schema import grants, refresh_tokens, users
from oauth_server.store.statements import Statement
from oauth_server.store.verbs.rows import USER_FIELDS, user_of

_USER = tuple(users.c[name].label(f"user_{name}") for name in USER_FIELDS)
_LIVE: Final = Statement(
    select(refresh_tokens.c.issued_at, refresh_tokens.c.idle_until)
    .add_columns(grants.c.client_id, grants.c.scope, grants.c.expires_at, *_USER)
    .join(grants, grants.c.grant_id == refresh_tokens.c.grant_id)
    .join(users, users.c.user_id == grants.c.user_id)
    .where(refresh_tokens.c.token_hash == bindparam("hashed"), refresh_tokens.c.used_at.is_(None))
    .where(grants.c.revoked_at.is_(None), users.c.disabled.is_(False))
)


@by_key
def live_refresh(connection: Connection, token_hash: bytes, now: float) -> LiveRefresh | None:
    """What a refresh token stands for, while it is its family's current one and nothing has ended it."""
    row = _LIVE.first(connection, hashed=token_hash)
    ends = None if row is None else min(row["idle_until"], row["expires_at"])
    if row is None or ends is None or ends <= now:
        return None
    return LiveRefresh(row["client_id"], user_of(row, "user_"), row["scope"], row["issued_at"], ends)
