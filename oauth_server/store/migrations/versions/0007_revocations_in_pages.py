"""Revocations are read in pages, from an index that has all that is read; the configured clients have one of their own.

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
    configured = sa.text("source = 'configured'")
    op.create_index("clients_configured", "clients", ["source"], sqlite_where=configured, postgresql_where=configured)
    op.drop_index("revocations_by_epoch", "revocations")
    op.create_index("revocations_by_epoch", "revocations", ["epoch", "kind", "value", "expires_at"])
