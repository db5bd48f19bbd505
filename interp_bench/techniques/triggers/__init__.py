"""Techniques of the triggers track."""
