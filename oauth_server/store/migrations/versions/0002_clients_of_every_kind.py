"""Client ID metadata documents, client configuration, initial access tokens, client assertions."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("clients", sa.Column("resources", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column("clients", sa.Column("fingerprint", sa.LargeBinary(), nullable=True))
    op.add_column("clients", sa.Column("registration_token_hash", sa.LargeBinary(), nullable=True))
    op.add_column("clients", sa.Column("registered_from", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column("clients", sa.Column("unused_until", sa.Double(), nullable=True))
    op.create_index("clients_by_fingerprint", "clients", ["fingerprint"], unique=True)
    op.create_index("clients_by_address", "clients", ["registered_from", "created_at"])
    op.create_index("clients_by_use", "clients", ["last_used_at", "unused_until"])
    op.create_table(
        "client_documents",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["clients.client_id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("digest"),
        sqlite_with_rowid=False,
    )
    op.create_index("client_documents_by_client", "client_documents", ["client_id"])
    op.create_table(
        "initial_access_tokens",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("uses_left", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("token_hash"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "assertions",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
        sqlite_with_rowid=False,
    )
    op.create_index("assertions_by_end", "assertions", ["expires_at"])
    for table in ("consents", "codes", "grants"):
        op.add_column(table, sa.Column("document", sa.LargeBinary(), nullable=True))
