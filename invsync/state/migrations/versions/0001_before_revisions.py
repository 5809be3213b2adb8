"""The tables as they were when revisions began; a database from before is brought there, whichever version made it."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
TEXT = sa.String(255)
NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create each table that is missing, and add each column that it lacks."""
    _runs_and_outbox()
    _orders_levels_and_leases()
    _alerts_and_webhooks()


def _runs_and_outbox() -> None:
    _table(
        "run",
        sa.Column("run_id", TEXT, primary_key=True),
        _text("shop"),
        _text("job"),
        _text("status"),
        sa.Column("exit_code", sa.Integer),
        sa.Column("folder", sa.Text),
        _text("thru"),
        _text("finished_at"),
        sa.Column("rows_read", sa.Integer),
        sa.Column("mapped", sa.Integer),
        sa.Column("targets", sa.Integer),
        sa.Column("advances", sa.Boolean),
        sa.Column("sent", sa.Boolean),
    )
    _table(
        "outbox",
        sa.Column("run_id", TEXT, primary_key=True),
        sa.Column("part", sa.Integer, primary_key=True),
        _text("shop"),
        sa.Column("path", sa.Text),
        _text("sha256"),
        _text("transport"),
        sa.Column("guarded", sa.Boolean),
        _text("committed_at"),
        _text("settled"),
    )
    _table(
        "claim",
        sa.Column("shop", TEXT, primary_key=True),
        sa.Column("event_id", TEXT, primary_key=True),
        _key("location_id"),
        sa.Column("inventory_item_id", sa.BigInteger),
        _text("status"),
        _text("run_id"),
        _text("created_at"),
    )


def _orders_levels_and_leases() -> None:
    _table(
        "order_ledger",
        sa.Column("shop", TEXT, primary_key=True),
        _text("thru"),
        _text("since"),
        sa.Column("sold", sa.LargeBinary),
        sa.Column("in_flight", sa.LargeBinary),
    )
    _table(
        "level_memory",
        sa.Column("shop", TEXT, primary_key=True),
        _key("inventory_item_id"),
        _key("location_id"),
        sa.Column("units", sa.BigInteger),
        sa.Column("watched", sa.Boolean),
        _text("deferred_since"),
        _text("deferred_at"),
    )
    _table(
        "lease",
        sa.Column("shop", TEXT, primary_key=True),
        _text("run_id"),
        _text("host"),
        sa.Column("pid", sa.Integer),
        _text("heartbeat"),
    )


def _alerts_and_webhooks() -> None:
    _table(
        "alert", sa.Column("shop", TEXT, primary_key=True), sa.Column("kind", TEXT, primary_key=True), _text("told_at")
    )
    _table(
        "webhook",
        sa.Column("number", NUMBER, primary_key=True),
        _text("shop"),
        _text("delivery"),
        _text("content"),
        _text("topic"),
        sa.Column("inventory_item_id", sa.BigInteger),
        sa.Column("location_id", sa.BigInteger),
        sa.Column("order_id", sa.BigInteger),
        _text("product_id"),
        sa.Column("available", sa.BigInteger),
        _text("updated_at"),
        _text("heard_at"),
        _text("covered_by"),
        sa.UniqueConstraint("shop", "delivery"),
        sa.UniqueConstraint("shop", "content"),
    )
    waits = sa.text("covered_by IS NULL")
    op.create_index(
        "webhook_waiting", "webhook", ["shop", "number"], if_not_exists=True, sqlite_where=waits, postgresql_where=waits
    )


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, TEXT)


def _key(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, primary_key=True, autoincrement=False)


def _table(name: str, *parts: sa.schema.SchemaItem) -> None:
    inspector = sa.inspect(op.get_bind())
    if not inspector.has_table(name):
        op.create_table(name, *parts)
        return
    known = {column["name"] for column in inspector.get_columns(name)}
    for part in parts:
        if isinstance(part, sa.Column) and part.name not in known:
            op.add_column(name, part)
