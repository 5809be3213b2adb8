"""The inputs of the in-flight ledger: orders, levels, other shops on the same stock, buffers."""
