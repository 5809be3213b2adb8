"""The command line, light to start: each command imports what it needs."""

from invsync.cli.main import app

__all__ = ["app"]
