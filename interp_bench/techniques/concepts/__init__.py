"""Techniques that look for the subspace of a labelled variable."""
