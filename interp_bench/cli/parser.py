"""The parser of the command line: mistakes are one line, and values that several commands take."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from interp_bench.errors import InterpBenchError, near_name

TRIALS = Path("leaderboard") / "trials"
PICTURES = Path("leaderboard") / "pictures"


class Parser(argparse.ArgumentParser):
    """An argument parser whose mistakes are one line, with a near name, and exit status 4."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the whole usage."""
        raise InterpBenchError(f"{message}; see: {self.prog} --help")

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        if action.option_strings and arg_strings == ["--"]:
            # argparse would make an empty list of it, whatever the option is.
            raise argparse.ArgumentError(action, "'--' is no value")
        return super()._get_values(action, arg_strings)

    def _check_value(self, action: argparse.Action, value: object) -> None:
        choices = [str(choice) for choice in action.choices or ()]
        if choices and str(value) not in choices:
            what = "command" if action.dest.endswith("command") else "/".join(action.option_strings)
            listed = ", ".join(choices)
            raise argparse.ArgumentError(
                None, f"no {what} {str(value)!r}{near_name(str(value), choices)}; choose from {listed}"
            )


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"
"""What commands are added to."""
