"""Techniques that look for circuits: which edges compute a behaviour."""
