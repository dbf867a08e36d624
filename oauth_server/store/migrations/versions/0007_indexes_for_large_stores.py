"""Indexes for what was found by reading a whole table: revocations in pages, configured clients, the newest ones.

An index that nothing used leaves.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.drop_index("clients_by_address", "clients")
    op.create_index("clients_by_age", "clients", ["created_at"])
    for name, table, column, condition in (
        ("clients_configured", "clients", "source", "source = 'configured'"),
        ("grants_by_age", "grants", "created_at", "revoked_at IS NULL"),
    ):
        where = sa.text(condition)
        op.create_index(name, table, [column], sqlite_where=where, postgresql_where=where)
    op.drop_index("revocations_by_epoch", "revocations")
    op.create_index("revocations_by_epoch", "revocations", ["epoch", "kind", "value", "expires_at"])
