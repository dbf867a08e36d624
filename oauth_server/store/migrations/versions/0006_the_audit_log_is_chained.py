"""The audit log is a hash chain, and the database itself refuses to change it."""

import sqlalchemy as sa
from alembic import op

from oauth_server.store.chain import encoded, link
from oauth_server.store.marks import START
from oauth_server.store.records import AuditEvent

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

BATCH = 1000
# Rows never change. A new one moves the head of its lane. One leaves only when the anchor of its lane, which retention
# moves first, is past it.
_REFUSED = "the audit log is append-only"
_KEPT = "OLD.position > coalesce((SELECT position FROM audit_anchors WHERE lane = OLD.lane), 0)"
_MOVE = "UPDATE audit_heads SET position = NEW.position, hash = NEW.hash WHERE lane = NEW.lane"
_REFUSE = f"RAISE EXCEPTION '{_REFUSED}'"
_AS = "RETURNS trigger LANGUAGE plpgsql AS"
TRIGGERS = {
    "sqlite": (
        f"CREATE TRIGGER audit_added AFTER INSERT ON audit BEGIN {_MOVE}; END",
        f"CREATE TRIGGER audit_unchanged BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, '{_REFUSED}'); END",
        f"CREATE TRIGGER audit_kept BEFORE DELETE ON audit WHEN {_KEPT} BEGIN SELECT RAISE(ABORT, '{_REFUSED}'); END",
    ),
    "postgresql": (
        f"CREATE FUNCTION audit_added() {_AS} $$ BEGIN {_MOVE}; RETURN NULL; END $$",
        f"CREATE FUNCTION audit_unchanged() {_AS} $$ BEGIN {_REFUSE}; END $$",
        f"CREATE FUNCTION audit_kept() {_AS} $$ BEGIN IF {_KEPT} THEN {_REFUSE}; END IF; RETURN OLD; END $$",
        "CREATE TRIGGER audit_added AFTER INSERT ON audit FOR EACH ROW EXECUTE FUNCTION audit_added()",
        "CREATE TRIGGER audit_unchanged BEFORE UPDATE ON audit FOR EACH ROW EXECUTE FUNCTION audit_unchanged()",
        "CREATE TRIGGER audit_truncated BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_unchanged()",
        "CREATE TRIGGER audit_kept BEFORE DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_kept()",
    ),
}


def upgrade() -> None:
    """Apply."""
    op.add_column("audit", sa.Column("lane", sa.Integer(), nullable=False, server_default=sa.text("0")))
    op.add_column("audit", sa.Column("position", sa.BigInteger(), nullable=False, server_default=sa.text("0")))
    op.add_column("audit", sa.Column("hash", sa.LargeBinary(), nullable=False, server_default=sa.text("''")))
    op.add_column("audit", sa.Column("request_id", sa.Text(), nullable=False, server_default=sa.text("''")))
    for name in ("audit_heads", "audit_anchors"):
        op.create_table(
            name,
            sa.Column("lane", sa.Integer(), nullable=False, autoincrement=False),
            sa.Column("position", sa.BigInteger(), nullable=False),
            sa.Column("hash", sa.LargeBinary(), nullable=False),
            sa.PrimaryKeyConstraint("lane"),
        )
    _chain(op.get_bind())
    for statement in TRIGGERS[op.get_bind().dialect.name]:
        op.execute(statement)


def _chain(connection: sa.Connection) -> None:
    """Chain what an earlier release recorded, in one lane, in the order in which it was written."""
    row = sa.text(
        "SELECT id, at, event, outcome, actor, client_id, address, detail FROM audit WHERE id > :after "
        "ORDER BY id LIMIT :batch"
    )
    place = sa.text("UPDATE audit SET position = :position, hash = :hash WHERE id = :id")
    after, (position, digest) = -1, START
    while found := connection.execute(row, {"after": after, "batch": BATCH}).mappings().all():
        placed = []
        for values in found:
            event = AuditEvent(**{name: value for name, value in values.items() if name != "id"})
            position, after = position + 1, values["id"]
            digest = link(digest, 0, position, encoded(event))
            placed.append({"position": position, "hash": digest, "id": after})
        connection.execute(place, placed)
    if position:
        head = sa.text("INSERT INTO audit_heads (lane, position, hash) VALUES (0, :position, :hash)")
        connection.execute(head, {"position": position, "hash": digest})
