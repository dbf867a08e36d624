"""The tables, in one dialect-neutral statement for SQLite and PostgreSQL.

Times are Unix seconds as floats; sets of words (scopes, grant types) are text separated by blanks;
codes, tokens and session ids appear only as SHA-256.
"""

import json
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    text,
)
from sqlalchemy.engine import Dialect

metadata = MetaData()


class Words(TypeDecorator[tuple[str, ...]]):
    """A tuple of words without blanks, stored as one text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Join the words."""
        return None if value is None else " ".join(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[str, ...] | None:  # noqa: ARG002
        """Split the text."""
        return None if value is None else tuple(value.split())


class Json(TypeDecorator[Any]):
    """A JSON value stored as text, the same on both engines."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:  # noqa: ARG002
        """Serialise the value."""
        return json.dumps(value, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002
        """Parse the text."""
        return None if value is None else json.loads(value)


def _index_where(name: str, column: str, condition: str) -> Index:
    """An index of the rows that meet a condition, for a query that states the same condition."""
    # The migration makes it so. Said in each dialect's words, it would have both loaded at every start.
    return Index(name, column, info={"where": condition})


meta = Table("meta", metadata, Column("name", Text, primary_key=True), Column("value", Text, nullable=False))

# One row; whoever changes what other processes hold in memory raises it (see verbs/revocations.py).
epoch = Table("epoch", metadata, Column("id", Integer, primary_key=True), Column("value", BigInteger, nullable=False))

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("kid", Text, primary_key=True),
    Column("use", Text, nullable=False),
    Column("alg", Text, nullable=False),
    Column("private_pem", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    # It signs from the one to the other; no end while nothing succeeds it.
    Column("signs_from", Double, nullable=False, server_default=text("0")),
    Column("stops_at", Double),
)

users = Table(
    "users",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("username", Text, nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("scope", Words, nullable=False),
    Column("display_name", Text, nullable=False, default=""),
    Column("email", Text, nullable=False, default=""),
    Column("must_change_password", Boolean, nullable=False, default=False),
    Column("disabled", Boolean, nullable=False, default=False),
    Column("created_at", Double, nullable=False),
)

clients = Table(
    "clients",
    metadata,
    Column("client_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("secret_hash", LargeBinary),
    Column("auth_method", Text, nullable=False),
    Column("redirect_uris", Json, nullable=False),
    Column("grant_types", Json, nullable=False),
    Column("scope", Words, nullable=False),
    Column("application_type", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("metadata", Json, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("last_used_at", Double),
    # Resources whose tokens the client may introspect.
    Column("resources", Words, nullable=False, server_default=text("''")),
    # The SHA-256 of the metadata of a public client, which identical registrations share.
    Column("fingerprint", LargeBinary),
    Column("registration_token_hash", LargeBinary),
    # The network address the registration came from.
    Column("registered_from", Text, nullable=False, server_default=text("''")),
    # When the client ends, unless it was used before.
    Column("unused_until", Double),
    Index("clients_by_fingerprint", "fingerprint", unique=True),
    Index("clients_by_use", "last_used_at", "unused_until"),
    Index("clients_by_age", "created_at"),
    _index_where("clients_configured", "source", "source = 'configured'"),
)

# What a client ID metadata document said when a person consented to it; the digest covers redirect URIs and keys.
client_documents = Table(
    "client_documents",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("client_id", Text, ForeignKey("clients.client_id", ondelete="CASCADE"), nullable=False),
    Column("document", Json, nullable=False),
    Index("client_documents_by_client", "client_id"),
    sqlite_with_rowid=False,
)

initial_access_tokens = Table(
    "initial_access_tokens",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("uses_left", Integer, nullable=False),
    sqlite_with_rowid=False,
)

# The jti of client assertions, so that each is accepted once.
assertions = Table(
    "assertions",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("expires_at", Double, nullable=False),
    Index("assertions_by_end", "expires_at"),
    sqlite_with_rowid=False,
)

browser_sessions = Table(
    "browser_sessions",
    metadata,
    Column("session_hash", LargeBinary, primary_key=True),
    Column("user_id", Text, ForeignKey("users.user_id", ondelete="CASCADE"), nullable=False),
    Column("auth_time", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Index("browser_sessions_by_user", "user_id"),
    Index("browser_sessions_by_end", "expires_at"),
    sqlite_with_rowid=False,
)

consents = Table(
    "consents",
    metadata,
    Column("user_id", Text, ForeignKey("users.user_id", ondelete="CASCADE"), primary_key=True),
    Column("client_id", Text, ForeignKey("clients.client_id", ondelete="CASCADE"), primary_key=True),
    Column("redirect_uri", Text, primary_key=True),
    Column("resources", Words, primary_key=True),
    Column("scope", Words, nullable=False),
    Column("given_at", Double, nullable=False),
    Column("document", LargeBinary),
    Index("consents_by_client", "client_id", "document"),
)

grants = Table(
    "grants",
    metadata,
    Column("grant_id", Text, primary_key=True),
    Column("user_id", Text, ForeignKey("users.user_id", ondelete="CASCADE"), nullable=False),
    Column("client_id", Text, ForeignKey("clients.client_id", ondelete="CASCADE"), nullable=False),
    Column("scope", Words, nullable=False),
    Column("resources", Words, nullable=False),
    Column("auth_time", Double, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("revoked_at", Double),
    Column("document", LargeBinary),
    # As in `codes`.
    Column("requested", Words),
    Index("grants_by_user", "user_id"),
    Index("grants_by_client", "client_id", "document"),
    Index("grants_by_end", "expires_at"),
    _index_where("grants_by_age", "created_at", "revoked_at IS NULL"),
    _index_where("grants_by_revocation", "revoked_at", "revoked_at IS NOT NULL"),
)

codes = Table(
    "codes",
    metadata,
    Column("code_hash", LargeBinary, primary_key=True),
    Column("grant_id", Text, nullable=False),
    Column("client_id", Text, ForeignKey("clients.client_id", ondelete="CASCADE"), nullable=False),
    Column("user_id", Text, ForeignKey("users.user_id", ondelete="CASCADE"), nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("challenge", Text, nullable=False),
    Column("resources", Words, nullable=False),
    Column("scope", Words, nullable=False),
    Column("nonce", Text),
    Column("auth_time", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("used_at", Double),
    Column("document", LargeBinary),
    # The scope that the client asked for, of which the person may have granted less; NULL where that is not known.
    Column("requested", Words),
    _index_where("codes_by_end", "expires_at", "used_at IS NULL"),
    Index("codes_by_grant", "grant_id"),
    Index("codes_by_client", "client_id", "document"),
    Index("codes_by_user", "user_id"),
    sqlite_with_rowid=False,
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("grant_id", Text, ForeignKey("grants.grant_id", ondelete="CASCADE"), nullable=False),
    Column("issued_at", Double, nullable=False),
    Column("idle_until", Double, nullable=False),
    Column("used_at", Double),
    Column("successor_hash", LargeBinary),
    # While it may be handed out again: until it is used, or the grace window ends. In no backup and no copy.
    Column("sealed_successor", LargeBinary),
    # The token that this one replaced; NULL for the first of a family.
    Column("predecessor_hash", LargeBinary),
    # How often the successor was handed out again.
    Column("replays", Integer, nullable=False, server_default=text("0")),
    Index("refresh_tokens_by_grant", "grant_id"),
    # Of each family the current token alone: those it replaced stay as long as the family, and are not waded through.
    _index_where("refresh_tokens_by_end", "idle_until", "used_at IS NULL"),
    _index_where("refresh_tokens_sealed", "used_at", "sealed_successor IS NOT NULL"),
    sqlite_with_rowid=False,
)

revocations = Table(
    "revocations",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("revoked_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    # All that the revocation filter reads, in the order in which it reads it.
    Index("revocations_by_epoch", "epoch", "kind", "value", "expires_at"),
    Index("revocations_by_end", "expires_at"),
    sqlite_with_rowid=False,
)

# Failed attempts at a password, counted by account, address or browser: buckets that empty at a steady pace.
failed_attempts = Table(
    "failed_attempts",
    metadata,
    Column("key", LargeBinary, primary_key=True),
    # What GCRA calls the theoretical arrival time: the count is how long that is from now, in intervals.
    Column("empty_at", Double, nullable=False),
    Index("failed_attempts_by_end", "empty_at"),
    sqlite_with_rowid=False,
)

RETENTION: Final = "audit.retention"  # the event that says from when on events are kept for how long

audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("at", Double, nullable=False),
    Column("event", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("detail", Text, nullable=False),
    # The place in the hash chain (see chain.py); the defaults are those of rows from before there was one.
    Column("lane", Integer, nullable=False, server_default=text("0")),
    Column("position", BigInteger, nullable=False, server_default=text("0")),
    Column("hash", LargeBinary, nullable=False, server_default=text("''")),
    Column("request_id", Text, nullable=False, server_default=text("''")),
    _index_where("audit_retentions", "event", f"event = '{RETENTION}'"),
)

# Where each lane of the log ends, and where it begins since older rows left. As many lanes as ever were needed at once.
audit_heads, audit_anchors = (
    Table(
        name,
        metadata,
        Column("lane", Integer, primary_key=True, autoincrement=False),
        Column("position", BigInteger, nullable=False),
        Column("hash", LargeBinary, nullable=False),
    )
    for name in ("audit_heads", "audit_anchors")
)

# The anchors from before the database itself made sure that what left was old enough; they never change.
audit_legacy_anchors = Table(
    "audit_legacy_anchors",
    metadata,
    Column("lane", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, nullable=False),
)

# The secrets of forms and of known browsers, sealed like the signing keys (see core/form_secrets.py).
form_secrets = Table(
    "form_secrets",
    metadata,
    Column("secret_id", Text, primary_key=True),
    Column("secret", Text, nullable=False),
    # It signs from the one to the other; no end while nothing succeeds it.
    Column("signs_from", Double, nullable=False),
    Column("stops_at", Double),
    # What it signed is accepted until then.
    Column("ends_at", Double),
)
