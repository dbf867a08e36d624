"""Failed attempts at a password."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "failed_attempts",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("empty_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        sqlite_with_rowid=False,
    )
    op.create_index("failed_attempts_by_end", "failed_attempts", ["empty_at"])
