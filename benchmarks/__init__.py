"""Measurements of the package that are not part of it, each a command with a page that it writes."""
