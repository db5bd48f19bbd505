"""Planted evidence: a pattern somewhere in the input raises its own logit, in LMs, ViTs and CNNs."""
