"""Snapshots: what one technique answered on one problem beside what was planted, small enough to commit."""
