"""The command ``interp-bench``: what there is, weights, results and the state of this machine."""

from interp_bench.cli.command import main

__all__ = ["main"]
