"""The command line: its commands, and how it ends."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version

from interp_bench.cli import (
    board,
    certifying,
    claims,
    comparing,
    doctor,
    gallery,
    listing,
    pictures,
    recommending,
    results,
    seeds,
    submissions,
    weights,
)
from interp_bench.cli.parser import Parser
from interp_bench.errors import InterpBenchError, one_line

USAGE_ERROR = 4
"""Exit status of every mistake of the user, as pytest has it."""

COMMANDS = (
    listing,
    results,
    gallery,
    board,
    claims,
    recommending,
    comparing,
    submissions,
    pictures,
    weights,
    certifying,
    seeds,
    doctor,
)
"""What adds commands, in the order in which they are listed."""

_BROKEN_PIPE = 141
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0, 1 if something is amiss, 4 for wrong usage."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A path may hold bytes that are no text, and a terminal may have few letters.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        options = _parser().parse_args(arguments)
        run: Callable[[argparse.Namespace], int] = options.run
        status = run(options)
        sys.stdout.flush()
    except InterpBenchError as error:
        print(f"interp-bench: {one_line(str(error))}", file=sys.stderr)
        return USAGE_ERROR
    except BrokenPipeError:
        # Whoever read the output has seen enough; python would complain again when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except KeyboardInterrupt:
        return _INTERRUPTED
    return status


def _parser() -> Parser:
    parser = Parser(
        prog="interp-bench",
        description="Which cliff does the gear work on? Scores are made by `pytest --bench`.",
    )
    parser.add_argument("--version", action="version", version=f"interp-bench {version('interp-bench')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in COMMANDS:
        module.add_to(commands)
    return parser
