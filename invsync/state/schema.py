"""The tables of the state database."""

import sqlalchemy as sa

META = sa.MetaData()
TEXT = sa.String(255)
VERSION = sa.Table("invsync_schema", META, sa.Column("version_num", sa.String(32), primary_key=True))
# The name under which a Shopify shop's outbox, claims and lease are kept, whatever it is called today.
SHOPS = sa.Table(
    "shop",
    META,
    sa.Column("kept_as", TEXT, primary_key=True),
    sa.Column("domain", TEXT, unique=True),
    sa.Column("needs_hard_sync", sa.Text),
)
RUNS = sa.Table(
    "run",
    META,
    sa.Column("run_id", TEXT, primary_key=True),
    sa.Column("shop", TEXT),
    sa.Column("job", TEXT),
    sa.Column("status", TEXT),
    sa.Column("exit_code", sa.Integer),
    sa.Column("folder", sa.Text),
    sa.Column("thru", TEXT),
    sa.Column("finished_at", TEXT),
    sa.Column("rows_read", sa.Integer),
    sa.Column("mapped", sa.Integer),
    sa.Column("targets", sa.Integer),
    sa.Column("advances", sa.Boolean),
    sa.Column("sent", sa.Boolean),
    sa.Column("fence", sa.Integer),
    sa.Index("run_by_shop", "shop", "thru"),
)
# `content` is the file itself, compressed, while a file without a guard is not settled.
OUTBOX = sa.Table(
    "outbox",
    META,
    sa.Column("run_id", TEXT, primary_key=True),
    sa.Column("part", sa.Integer, primary_key=True),
    sa.Column("shop", TEXT),
    sa.Column("path", sa.Text),
    sa.Column("sha256", TEXT),
    sa.Column("transport", TEXT),
    sa.Column("guarded", sa.Boolean),
    sa.Column("committed_at", TEXT),
    sa.Column("settled", TEXT),
    sa.Column("fence", sa.Integer),
    sa.Column("content", sa.LargeBinary),
    sa.Index("outbox_by_shop", "shop", "settled"),
)
CLAIM = sa.Table(
    "claim",
    META,
    sa.Column("shop", TEXT, primary_key=True),
    sa.Column("event_id", TEXT, primary_key=True),
    sa.Column("location_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("inventory_item_id", sa.BigInteger),
    sa.Column("status", TEXT),
    sa.Column("run_id", TEXT),
    sa.Column("created_at", TEXT),
    sa.Index("claim_by_run", "run_id", "inventory_item_id", "location_id"),
    sa.Index("claim_by_status", "shop", "status", "created_at"),
)
# SOLD of the orders that may be in flight or are open, as an Arrow file, and the end of the span that was read.
LEDGER = sa.Table(
    "order_ledger",
    META,
    sa.Column("shop", TEXT, primary_key=True),
    sa.Column("thru", TEXT),
    sa.Column("since", TEXT),
    sa.Column("sold", sa.LargeBinary),
    sa.Column("in_flight", sa.LargeBinary),
)
# Of a level: the committed units of orders that Shopify no longer lists, and whether the next run must look at it.
MEMORY = sa.Table(
    "level_memory",
    META,
    sa.Column("shop", TEXT, primary_key=True),
    sa.Column("inventory_item_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("location_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("units", sa.BigInteger),
    sa.Column("watched", sa.Boolean),
    sa.Column("deferred_since", TEXT),
    sa.Column("deferred_at", TEXT),
)
LEASE = sa.Table(
    "lease",
    META,
    sa.Column("shop", TEXT, primary_key=True),
    sa.Column("run_id", TEXT),
    sa.Column("host", TEXT),
    sa.Column("pid", sa.Integer),
    sa.Column("heartbeat", TEXT),
)
# How often a shop was taken, by which run last, and which process that is.
FENCE = sa.Table(
    "fence",
    META,
    sa.Column("shop", TEXT, primary_key=True),
    sa.Column("number", sa.Integer),
    sa.Column("run_id", TEXT),
    sa.Column("machine", TEXT),
    sa.Column("started", TEXT),
)
# `kind` ends in the job where each job has its own. `told_at`: last sent. `content`: the alert as JSON.
ALERT = sa.Table(
    "alert",
    META,
    sa.Column("shop", TEXT, primary_key=True),
    sa.Column("kind", TEXT, primary_key=True),
    sa.Column("told_at", TEXT),
    sa.Column("raised_at", TEXT),
    sa.Column("resolved_at", TEXT),
    sa.Column("content", sa.Text),
)
WEBHOOK = sa.Table(
    "webhook",
    META,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("shop", TEXT),
    sa.Column("delivery", TEXT),
    sa.Column("content", TEXT),
    sa.Column("topic", TEXT),
    sa.Column("inventory_item_id", sa.BigInteger),
    sa.Column("location_id", sa.BigInteger),
    sa.Column("order_id", sa.BigInteger),
    sa.Column("product_id", TEXT),
    sa.Column("available", sa.BigInteger),
    sa.Column("updated_at", TEXT),
    sa.Column("heard_at", TEXT),
    sa.Column("covered_by", TEXT),
    sa.UniqueConstraint("shop", "delivery"),
    sa.UniqueConstraint("shop", "content"),
)
WAITS = sa.text("covered_by IS NULL")
WAITING = sa.Index("webhook_waiting", WEBHOOK.c.shop, WEBHOOK.c.number, sqlite_where=WAITS)


@sa.event.listens_for(META, "before_create")
def _set_postgresql_where(_: sa.MetaData, connection: sa.Connection, **__: object) -> None:
    """Restrict the index in PostgreSQL too; as an argument above, it would load that dialect in every run."""
    if connection.dialect.name == "postgresql":
        WAITING.dialect_options["postgresql"]["where"] = WAITS
