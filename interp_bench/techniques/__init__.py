"""Techniques of the package, one folder a track; importing a module registers what it defines."""
