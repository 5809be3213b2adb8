"""How each job selects its pairs, reads them, and remembers how they ended."""
