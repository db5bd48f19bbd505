"""Isolation: what stands between the harness and a stranger's technique in a process of its own."""
