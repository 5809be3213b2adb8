"""Pages over many runs: the index, an item's history, the week of a shop."""
