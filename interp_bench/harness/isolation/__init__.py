"""Techniques run in processes of their own, which hold nothing but the planted problem.

Three processes stand between the harness and a technique. The *nursery* is started anew (no copy of
the harness) and imports torch and the package once. For each problem it forks a *keeper*, which maps
the planted weights from shared memory and runs nothing. The keeper forks a fresh *worker* for each
trial, watches it, and ends it with everything that it started.
"""
