"""The state's schema, revision by revision, for Alembic; `database.upgrade` runs what a database lacks."""
