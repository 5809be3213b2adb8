"""HotWax over SQL: SQLite, MySQL, PostgreSQL, and the in-memory tables that files and REST fill."""
