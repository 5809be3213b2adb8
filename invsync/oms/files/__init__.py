"""HotWax's tables and feeds as exported files."""
