"""When jobs run: here by the embedded scheduler, or elsewhere by what is exported from the same table."""
