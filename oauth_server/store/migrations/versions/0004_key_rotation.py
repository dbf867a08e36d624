"""From when to when a key signs."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("signing_keys", sa.Column("signs_from", sa.Double(), nullable=False, server_default=sa.text("0")))
    op.add_column("signing_keys", sa.Column("stops_at", sa.Double(), nullable=True))
    op.execute("UPDATE signing_keys SET signs_from = created_at")
