"""Papermill engines: in a kernel of its own, or in this process."""
