"""How rows and texts enter from outside: read whole, checked by kind, refused or held by name."""
