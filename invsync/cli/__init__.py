"""The command line: one module per group of commands, with the options and the output that they share.

A command imports what it runs when it runs, so that `invsync --help` starts without polars, altair and papermill.
"""

from invsync.cli.main import app

__all__ = ["app"]
