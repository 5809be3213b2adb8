"""Validation of files and tables that come in, and of text from other systems."""
