"""`python -m invsync.cli`: the command line without its script."""

from invsync.cli import app

app()
