"""HotWax over SQL: SQLite, MySQL and PostgreSQL, and in-memory tables for files and REST."""
