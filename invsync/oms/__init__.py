"""The OMS side: one reader, over a database or over exported files."""

from invsync.oms.source import Source, open_source

__all__ = ["Source", "open_source"]
