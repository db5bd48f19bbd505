"""Circuits planted by weight edits, one file each."""
