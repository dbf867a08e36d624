"""The revocations are read in pages, from an index that has all that is read; an index that nothing used leaves."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.drop_index("clients_by_address", "clients")
    op.drop_index("revocations_by_epoch", "revocations")
    op.create_index("revocations_by_epoch", "revocations", ["epoch", "kind", "value", "expires_at"])
