"""Techniques that look for features: directions in unlabelled activations."""
