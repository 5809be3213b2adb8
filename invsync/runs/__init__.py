"""Run folders: the record of a run, its copy in object storage, and many runs as tables."""
