"""Indexes by which housekeeping finds what nobody can use any more, without reading whole tables."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    for name, table in (
        ("codes_by_end", "codes"),
        ("refresh_tokens_by_end", "refresh_tokens"),
        ("codes_by_client", "codes"),
        ("grants_by_client", "grants"),
    ):
        op.drop_index(name, table)
    for name, table, column, condition in (
        ("codes_by_end", "codes", "expires_at", "used_at IS NULL"),
        ("refresh_tokens_by_end", "refresh_tokens", "idle_until", "used_at IS NULL"),
        ("grants_by_revocation", "grants", "revoked_at", "revoked_at IS NOT NULL"),
    ):
        where = sa.text(condition)
        op.create_index(name, table, [column], sqlite_where=where, postgresql_where=where)
    op.create_index("codes_by_grant", "codes", ["grant_id"])
    for table in ("codes", "grants", "consents"):
        op.create_index(f"{table}_by_client", table, ["client_id", "document"])
