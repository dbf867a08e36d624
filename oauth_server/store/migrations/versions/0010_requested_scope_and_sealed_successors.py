"""Scope as it was requested; successors of refresh tokens that are deleted in time, and how often one was repeated.

Sealed successors from before are cleared, but for those whose grace window may still be open.
"""

import time

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

LONGEST = 300 + 60  # seconds: no grace window is longer, and clocks may differ by a minute


def upgrade() -> None:
    """Apply."""
    for table in ("codes", "grants"):
        op.add_column(table, sa.Column("requested", sa.Text(), nullable=True))
    op.add_column("refresh_tokens", sa.Column("predecessor_hash", sa.LargeBinary(), nullable=True))
    op.add_column("refresh_tokens", sa.Column("replays", sa.Integer(), server_default=sa.text("0"), nullable=False))
    tokens = sa.table("refresh_tokens", sa.column("sealed_successor"), sa.column("used_at"))
    ended = tokens.c.sealed_successor.is_not(None), tokens.c.used_at < time.time() - LONGEST
    op.execute(sa.update(tokens).where(*ended).values(sealed_successor=None))
    where = sa.text("sealed_successor IS NOT NULL")
    op.create_index("refresh_tokens_sealed", "refresh_tokens", ["used_at"], sqlite_where=where, postgresql_where=where)
