"""Tracks: one question each, with the types that ask and answer it and the code that grades."""
