"""The revisions of the state's tables, for Alembic; `database.upgrade` runs those that a database lacks."""
