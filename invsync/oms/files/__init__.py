"""HotWax's exported tables and feeds."""
