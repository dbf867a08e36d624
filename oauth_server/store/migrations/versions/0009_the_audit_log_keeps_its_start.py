"""The start of the audit log cannot be taken away before its time. The secrets of forms have a table of their own."""

import sqlalchemy as sa
from alembic import op

from oauth_server.store import guards

revision = "0009"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    # Where events left by the rules of an earlier release, which kept none that shows their age.
    op.create_table(
        "audit_legacy_anchors",
        sa.Column("lane", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("lane"),
    )
    op.execute("INSERT INTO audit_legacy_anchors (lane, position) SELECT lane, position FROM audit_anchors")
    where = sa.text("event = 'audit.retention'")
    op.create_index("audit_retentions", "audit", ["event"], sqlite_where=where, postgresql_where=where)
    guards.install(op.get_bind())
    op.create_table(
        "form_secrets",
        sa.Column("secret_id", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("signs_from", sa.Double(), nullable=False),
        sa.Column("stops_at", sa.Double()),
        sa.Column("ends_at", sa.Double()),
        sa.PrimaryKeyConstraint("secret_id"),
    )
