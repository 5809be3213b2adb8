"""The schedule of the jobs: kept by the embedded scheduler, or exported to another engine from the same table."""
