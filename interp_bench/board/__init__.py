"""Stored trials as people read them: tables in the terminal, the leaderboard page; never imports torch."""
