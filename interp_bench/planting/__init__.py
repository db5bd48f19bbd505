"""Planting known mechanisms by weight edits, and proving by intervention that they are what runs."""
