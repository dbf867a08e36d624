"""Authorization codes, refresh tokens and the grants they belong to.

Sources: RFC 6749 sections 4.1.2 and 6, RFC 9700 section 4.14 (rotation and reuse detection).
"""

from typing import Final

from sqlalchemy import Connection, Select, Table, bindparam, delete, insert, select, update

from oauth_server.store.ages import CLOCK_SKEW, within
from oauth_server.store.at_once import by_key
from oauth_server.store.records import Client, Code, Grant, Issue, NewRefresh, Permitted, Refusal
from oauth_server.store.schema import clients, codes, grants, refresh_tokens, users
from oauth_server.store.statements import Statement
from oauth_server.store.verbs import clients as clients_
from oauth_server.store.verbs import documents
from oauth_server.store.verbs.revocations import end
from oauth_server.store.verbs.rows import USER_FIELDS, grant_of, user_of
from oauth_server.store.verbs.users import consent

_USER = tuple(users.c[name].label(f"user_{name}") for name in USER_FIELDS)
# Every verb that locks several rows takes them in the order people, codes, clients, grants, refresh tokens, epoch, so
# that no two wait for each other. The person's lock makes it certain that what is issued here is within their present
# ceiling: whoever lowers it, or disables the person, waits, and then sees the grant; or has gone before.
_CODE: Final = Statement(
    select(codes, *_USER)
    .join(users, users.c.user_id == codes.c.user_id)
    .where(codes.c.code_hash == bindparam("hashed"))
    .with_for_update(read=True, of=users)
    .suffix_with("FOR UPDATE OF codes", dialect="postgresql")
)
_REFRESH: Final = Statement(
    select(
        refresh_tokens.c.used_at,
        refresh_tokens.c.idle_until,
        refresh_tokens.c.successor_hash,
        refresh_tokens.c.sealed_successor,
        refresh_tokens.c.predecessor_hash,
        refresh_tokens.c.replays,
        grants.c.grant_id,
        grants.c.client_id,
        grants.c.scope,
        grants.c.requested,
        grants.c.resources,
        grants.c.auth_time,
        grants.c.expires_at,
        grants.c.revoked_at,
        *_USER,
    )
    .join(grants, grants.c.grant_id == refresh_tokens.c.grant_id)
    .join(users, users.c.user_id == grants.c.user_id)
    .where(refresh_tokens.c.token_hash == bindparam("hashed"))
    .with_for_update(read=True, of=users)
    # The grant's lock orders everything that happens to its family; the token's makes PostgreSQL read, after
    # having waited for it, what the other rotation made of the token.
    .suffix_with("FOR UPDATE OF grants, refresh_tokens", dialect="postgresql")
)
_GRANT = select(grants, users.c.username).join(users, users.c.user_id == grants.c.user_id)
_CODE_FIELDS: Final = tuple(Code.__dataclass_fields__)


def _insert(table: Table, *names: str) -> Statement:
    return Statement(insert(table).inline().values({name: bindparam(name) for name in names}))


_ENABLED: Final = Statement(
    select(users.c.user_id)
    .where(users.c.user_id == bindparam("of"), users.c.disabled.is_(False))
    .with_for_update(read=True)
)
_KNOWN: Final = Statement(
    select(clients.c.client_id).where(clients.c.client_id == bindparam("of")).with_for_update(read=True, key_share=True)
)
_ADD_CODE: Final = _insert(codes, *_CODE_FIELDS)
_USE_CODE: Final = Statement(
    update(codes).where(codes.c.code_hash == bindparam("hashed")).values(used_at=bindparam("now"))
)
_ADD_GRANT: Final = _insert(
    grants,
    "grant_id",
    "user_id",
    "client_id",
    "scope",
    "resources",
    "auth_time",
    "created_at",
    "expires_at",
    "document",
    "requested",
)
_ADD_REFRESH: Final = _insert(refresh_tokens, "token_hash", "grant_id", "issued_at", "idle_until", "predecessor_hash")
_ROTATE: Final = Statement(
    update(refresh_tokens)
    .where(refresh_tokens.c.token_hash == bindparam("hashed"))
    .values(used_at=bindparam("now"), successor_hash=bindparam("successor"), sealed_successor=bindparam("sealed"))
)
_UNSEAL: Final = Statement(
    update(refresh_tokens)
    .where(refresh_tokens.c.token_hash == bindparam("hashed"), refresh_tokens.c.sealed_successor.is_not(None))
    .values(sealed_successor=None)
)
_REPLAY: Final = Statement(
    update(refresh_tokens)
    .where(refresh_tokens.c.token_hash == bindparam("hashed"))
    .values(replays=refresh_tokens.c.replays + 1)
)
_USED_AT: Final = Statement(select(refresh_tokens.c.used_at).where(refresh_tokens.c.token_hash == bindparam("hashed")))


@by_key
def add_code(connection: Connection, code: Code) -> None:
    """Store a freshly issued code."""
    _ADD_CODE.run(connection, **{name: getattr(code, name) for name in _CODE_FIELDS})


@by_key
def add_code_and_consent(
    connection: Connection,
    code: Code,
    given: tuple[str, str, str, tuple[str, ...], tuple[str, ...]] | None,
    now: float,
    documented: Client | None = None,
) -> bool:
    """Store a code together with the consent it rests on, when one was given just now.

    `documented` is the client, for one that is known by its metadata document. False, and nothing is stored, when the
    person was disabled or the client deleted meanwhile; until the commit neither can happen.
    """
    if _ENABLED.first(connection, of=code.user_id) is None:
        return False
    if documented is not None and code.document is not None:
        documents.remember(connection, documented, code.document, now)
    if _KNOWN.first(connection, of=code.client_id) is None:
        return False
    if given is not None:
        consent(connection, *given, now, code.document)
    add_code(connection, code)
    return True


@by_key
def redeem_code(  # noqa: C901, PLR0911 - all checks of a redemption, in their order, in one place
    connection: Connection,
    *,
    code_hash: bytes,
    client_id: str,
    redirect_uri: str | None,
    challenge: str,
    resource: str | None,
    now: float,
    lifetime: float,
    replay_after: float,
    permitted: Permitted,
    refresh: NewRefresh | None,
    family_until: float,
    tokens_until: float,
) -> Issue | Refusal:
    """Consume a code once and create its grant, or say why not.

    Checked in the order client, redirect URI, verifier, consumption. A failure before consumption leaves the
    code alive, except a wrong verifier. A replay that passes every earlier check more than `replay_after`
    seconds after the first use revokes the grant: the code was stolen. No code lives longer than `lifetime`
    (seconds). `resource` None means the first one authorized.
    """
    row = _CODE.first(connection, hashed=code_hash)
    if row is None:
        return Refusal("unknown")
    grant_id: str = row["grant_id"]
    if row["client_id"] != client_id:
        return Refusal("client", grant_id, username=row["user_username"])
    if redirect_uri is not None and redirect_uri != row["redirect_uri"]:
        return Refusal("redirect_uri", grant_id, username=row["user_username"])
    if row["challenge"] != challenge:
        ends = row["used_at"] is None
        if ends:
            connection.execute(delete(codes).where(codes.c.code_hash == code_hash))
        return Refusal("verifier", grant_id, code_ended=ends, username=row["user_username"])
    if row["used_at"] is not None:
        stolen = not within(now, row["used_at"], replay_after)
        if stolen:
            revoke_grant(connection, grant_id, now, tokens_until)
        return Refusal("replayed", grant_id, grant_revoked=stolen, username=row["user_username"])
    # One that would live longer than a new one was issued before the clock was set back.
    if row["expires_at"] <= now or row["expires_at"] > now + lifetime + CLOCK_SKEW:
        return Refusal("expired", grant_id, username=row["user_username"])
    if not permitted.for_resource(resource, row["resources"]):
        return Refusal("resource", grant_id, username=row["user_username"])
    user = user_of(row, "user_")
    if user.disabled:
        return Refusal("user", grant_id, username=row["user_username"])
    scope = permitted.cut(row["scope"], user.scope)
    if not scope:
        return Refusal("scope", grant_id, username=row["user_username"])
    _USE_CODE.run(connection, hashed=code_hash, now=now)
    clients_.use(connection, client_id, now)
    _ADD_GRANT.run(
        connection,
        grant_id=grant_id,
        user_id=user.user_id,
        client_id=client_id,
        scope=scope,
        resources=row["resources"],
        auth_time=row["auth_time"],
        created_at=now,
        # Without a refresh token nothing of the grant outlives its access token.
        expires_at=tokens_until if refresh is None else family_until,
        document=row["document"],
        requested=row["requested"],
    )
    if refresh is not None:
        _add_refresh(connection, grant_id, refresh, now)
    return Issue(grant_id, user, scope, resource or row["resources"][0], row["auth_time"], row["nonce"])


def _add_refresh(
    connection: Connection, grant_id: str, refresh: NewRefresh, now: float, replaces: bytes | None = None
) -> None:
    _ADD_REFRESH.run(
        connection,
        token_hash=refresh.token_hash,
        grant_id=grant_id,
        issued_at=now,
        idle_until=refresh.idle_until,
        predecessor_hash=replaces,
    )


@by_key
def rotate_refresh(  # noqa: C901, PLR0911 - all checks of a rotation, in their order, in one place
    connection: Connection,
    *,
    token_hash: bytes,
    client_id: str,
    scope: tuple[str, ...] | None,
    resource: str | None,
    now: float,
    grace: float,
    replays: int,
    permitted: Permitted,
    successor: NewRefresh,
    sealed: bytes | None,
    tokens_until: float,
) -> Issue | Refusal:
    """Replace a refresh token by its successor, or say why not.

    Within `grace` seconds of the rotation, while the successor is unused, the same successor is handed out
    again (sealed), `replays` times at most; later the token counts as stolen and its whole family is revoked.
    A token that is used for the first time deletes what its predecessor has sealed. `sealed` is None where there is
    no window. A scope beyond what was granted and what was requested, or a resource that exceeds the grant, is
    refused without rotating; of a scope that was requested the granted part is given (RFC 6749 section 6). `scope`
    None means that of the grant, `resource` None its first one.
    """
    row = _REFRESH.first(connection, hashed=token_hash)
    if row is None:
        return Refusal("unknown")
    grant_id: str = row["grant_id"]
    if row["client_id"] != client_id:
        return Refusal("client", grant_id, username=row["user_username"])
    if row["revoked_at"] is not None:
        return Refusal("revoked", grant_id, username=row["user_username"])
    graced = row["used_at"] is not None
    in_time = grace > 0 and graced and within(now, row["used_at"], grace)  # a window of 0 is none, for racing twins too
    known = row["sealed_successor"] is not None
    # Earlier releases, which may serve beside this one, leave it there when the successor is used.
    if graced and not (in_time and known and _unused(connection, row["successor_hash"])):
        revoke_grant(connection, grant_id, now, tokens_until)
        return Refusal("reused", grant_id, grant_revoked=True, username=row["user_username"])
    if row["expires_at"] <= now or (not graced and row["idle_until"] <= now):
        return Refusal("expired", grant_id, username=row["user_username"])
    user = user_of(row, "user_")
    if user.disabled:
        return Refusal("user", grant_id, username=row["user_username"])
    if not permitted.for_resource(resource, row["resources"]):
        return Refusal("resource", grant_id, username=row["user_username"])
    if scope is not None and not permitted.within(scope, (*row["scope"], *(row["requested"] or ()))):
        return Refusal("scope", grant_id, username=row["user_username"])
    granted = permitted.cut(row["scope"] if scope is None else permitted.part(scope, row["scope"]), user.scope)
    if not granted:
        return Refusal("scope", grant_id, username=row["user_username"])
    if graced and row["replays"] >= replays:
        return Refusal("repeated", grant_id, username=row["user_username"])
    issue = Issue(
        grant_id,
        user,
        granted,
        resource or row["resources"][0],
        row["auth_time"],
        sealed_successor=row["sealed_successor"] if graced else None,
    )
    if graced:
        _REPLAY.run(connection, hashed=token_hash)
        return issue
    _ROTATE.run(connection, hashed=token_hash, now=now, successor=successor.token_hash, sealed=sealed)
    _add_refresh(connection, grant_id, successor, now, token_hash)
    if row["predecessor_hash"] is not None:
        _UNSEAL.run(connection, hashed=row["predecessor_hash"])
    return issue


def _unused(connection: Connection, token_hash: bytes) -> bool:
    row = _USED_AT.first(connection, hashed=token_hash)
    return row is not None and row["used_at"] is None


def revoke_grant(connection: Connection, grant_id: str, now: float, tokens_until: float) -> None:
    """End a grant: its refresh tokens at once, its access tokens through the revocation filter."""
    connection.execute(
        update(grants).where(grants.c.grant_id == grant_id, grants.c.revoked_at.is_(None)).values(revoked_at=now)
    )
    end(connection, "grant", [grant_id], tokens_until)


@by_key
def revoke_by_refresh(
    connection: Connection, token_hash: bytes, client_id: str, now: float, tokens_until: float
) -> Grant | None:
    """End the grant a refresh token belongs to, when it was issued to this client; which, None otherwise."""
    found = _grants(
        connection,
        _GRANT.join(refresh_tokens, refresh_tokens.c.grant_id == grants.c.grant_id).where(
            refresh_tokens.c.token_hash == token_hash, grants.c.client_id == client_id
        ),
    )
    for grant in found:
        revoke_grant(connection, grant.grant_id, now, tokens_until)
    return found[0] if found else None


def _grants(connection: Connection, statement: Select[tuple[object, ...]]) -> list[Grant]:
    return [grant_of(row) for row in connection.execute(statement).mappings()]


def live(connection: Connection, now: float, limit: int) -> list[Grant]:
    """The grants neither revoked nor expired, the newest first."""
    statement = _GRANT.where(grants.c.revoked_at.is_(None), grants.c.expires_at > now)
    return _grants(connection, statement.order_by(grants.c.created_at.desc()).limit(limit))
