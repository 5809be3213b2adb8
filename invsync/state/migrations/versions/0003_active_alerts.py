"""Alerts are kept from when they are raised until they are resolved, and while they wait for the end of quiet hours."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns; an older alert has no content and is not sent again."""
    op.add_column("alert", sa.Column("raised_at", sa.String(255)))
    op.add_column("alert", sa.Column("resolved_at", sa.String(255)))
    op.add_column("alert", sa.Column("content", sa.Text))
