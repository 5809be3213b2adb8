"""Why a pair's number is what it is, and what earlier runs did to it."""

from invsync.explain.level import explain, explain_in, lines

__all__ = ["explain", "explain_in", "lines"]
