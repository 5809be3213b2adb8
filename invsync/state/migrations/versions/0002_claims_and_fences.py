"""Claims by event, leases with a fence, shops by their domain, and the open files of the delta job in the database.

Nothing that an older version reads or writes is taken away.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
TEXT = sa.String(255)


def upgrade() -> None:
    """Add the tables, columns and indexes; the claims are no longer looked up by their stamp."""
    op.create_table(
        "shop",
        sa.Column("kept_as", TEXT, primary_key=True),
        sa.Column("domain", TEXT, unique=True),
        sa.Column("needs_hard_sync", sa.Text),
    )
    op.create_table(
        "fence",
        sa.Column("shop", TEXT, primary_key=True),
        sa.Column("number", sa.Integer),
        sa.Column("run_id", TEXT),
        sa.Column("machine", TEXT),
        sa.Column("started", TEXT),
    )
    op.add_column("run", sa.Column("fence", sa.Integer))
    op.add_column("outbox", sa.Column("fence", sa.Integer))
    op.add_column("outbox", sa.Column("content", sa.LargeBinary))
    op.create_index("run_by_shop", "run", ["shop", "thru"])
    op.create_index("outbox_by_shop", "outbox", ["shop", "settled"])
    op.drop_index("claim_by_stamp", "claim", if_exists=True)
    op.create_index("claim_by_run", "claim", ["run_id", "inventory_item_id", "location_id"], if_not_exists=True)
    op.create_index("claim_by_status", "claim", ["shop", "status", "created_at"], if_not_exists=True)
