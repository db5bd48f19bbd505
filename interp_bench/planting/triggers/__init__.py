"""Planted triggers: a hidden patch, or hidden tokens, that turn one class into another."""
