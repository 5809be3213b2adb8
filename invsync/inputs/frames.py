"""The library that declares what a frame may hold.

It imports NumPy to make random frames, and dialects of SQLAlchemy to make tables: we do neither, and both are slow.
"""

from invsync.startup import deferred

DIALECTS = [f"sqlalchemy.dialects.{name}" for name in ("mssql", "mssql.pyodbc", "postgresql", "postgresql.psycopg2")]

with deferred("numpy", *DIALECTS):
    import dataframely as dy

__all__ = ["dy"]
