"""HotWax over its HTTP APIs."""
