"""The command line: its options, and how it ends."""

from __future__ import annotations

import argparse
import io
import os
import re
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

from interp_bench.cli import (
    board,
    certifying,
    claims,
    comparing,
    doctor,
    gallery,
    listing,
    pictures,
    results,
    seeds,
    weights,
)
from interp_bench.errors import InterpBenchError, near_name, one_line
from interp_bench.harness.store import DEFAULT_PATH
from interp_bench.harness.tiers import TIERS

USAGE_ERROR = 4
"""Exit status of every mistake of the user, as pytest has it."""

TRIALS = Path("leaderboard") / "trials"
PAGE = Path("leaderboard") / "README.md"
GALLERY = Path("leaderboard") / "techniques.md"
PICTURES = Path("leaderboard") / "pictures"
MODALITIES = ("lm", "image")

_BROKEN_PIPE = 141
_INTERRUPTED = 130


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
    _add_listings(commands)
    _add_results(commands)
    _add_board(commands)
    _add_compare(commands)
    _add_claims(commands)
    _add_pictures(commands)
    fetch = commands.add_parser("fetch", help="bring the weights of models to this machine")
    fetch.add_argument("models", nargs="+", metavar="MODEL", help="ids from `interp-bench models`")
    fetch.set_defaults(run=lambda options: weights.fetch(options.models))
    _add_certify(commands)
    _add_seeds(commands)
    check = commands.add_parser("doctor", help="versions, threads, caches, and which models are here")
    check.set_defaults(run=lambda _: doctor.report())
    return parser


def _path(text: str) -> Path:
    if "\0" in text:
        raise argparse.ArgumentTypeError("no path holds the sign of number zero")
    return Path(text)


def _seed(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no seed; give a whole number from 0 to 999999999")
    return int(text)


def _add_listings(commands: argparse._SubParsersAction[Parser]) -> None:
    models = commands.add_parser("models", help="list the models of models.yaml")
    models.add_argument("--tier", choices=TIERS, help="only models of this tier and the tiers below it")
    models.add_argument("--ladder", help="only models of this ladder")
    models.set_defaults(run=listing.models)
    techniques = commands.add_parser("techniques", help="list the techniques")
    techniques.set_defaults(run=listing.techniques)
    tasks = commands.add_parser("tasks", help="list the tasks")
    tasks.set_defaults(run=listing.tasks)
    for command in (techniques, tasks):
        command.add_argument("--track", help="only those of this track")
    for command in (models, techniques, tasks):
        command.add_argument("--modality", choices=MODALITIES, help="only those for this modality")
        command.add_argument("--json", action="store_true", help="print a list of objects")
    show = commands.add_parser("show", help="show all about one model, technique or task")
    show.add_argument("name", help="a model's id, or the name of a technique or a task")
    show.add_argument("--json", action="store_true", help="print a list of objects")
    show.set_defaults(run=lambda options: listing.show(options.name, as_json=options.json))


def _add_certify(commands: argparse._SubParsersAction[Parser]) -> None:
    certify = commands.add_parser("certify", help="plant one problem and print what its certificate measured")
    certify.add_argument("task", metavar="TASK", help="name from `interp-bench tasks`")
    certify.add_argument("model", metavar="MODEL", help="id from `interp-bench models`")
    certify.add_argument("--seed", type=_seed, default=0, help="default: %(default)s")
    certify.add_argument(
        "--dial",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="turn a dial of the task (repeatable)",
    )
    certify.add_argument("--json", action="store_true", help="print an object")
    certify.set_defaults(
        run=lambda options: certifying.certify(
            options.task, options.model, seed=options.seed, dials=options.dial, as_json=options.json
        )
    )


def _add_seeds(commands: argparse._SubParsersAction[Parser]) -> None:
    reveal = commands.add_parser("seeds", help="show the seeds that follow from a secret")
    reveal.add_argument("--secret", required=True, metavar="PATH", help="file that holds it, or env:NAME")
    reveal.add_argument("--task", required=True, help="name from `interp-bench tasks`")
    reveal.add_argument("--model", required=True, help="id from `interp-bench models`")
    reveal.add_argument("--seeds", default="3", metavar="N", help="number or list; default: %(default)s")
    reveal.add_argument("--json", action="store_true", help="print an object")
    reveal.set_defaults(
        run=lambda options: seeds.seeds(
            options.secret, options.task, options.model, options.seeds, as_json=options.json
        )
    )


def _add_results(commands: argparse._SubParsersAction[Parser]) -> None:
    export = commands.add_parser("export", help="write stored trials as JSON lines, one file a track")
    export.add_argument("--store", type=_path, default=DEFAULT_PATH, help="default: %(default)s")
    export.add_argument("--run-id", help="only the trials of this run, or of the `last` one")
    export.add_argument("--out", type=_path, default=TRIALS, help="folder; default: %(default)s")
    export.set_defaults(run=lambda options: results.export(options.store, options.out, options.run_id))
    page = commands.add_parser("leaderboard", help="write the leaderboard page from exported trials")
    page.set_defaults(run=lambda options: results.leaderboard(options.trials, options.out, options.check))
    shown = commands.add_parser("gallery", help="write the page of techniques from code and exported trials")
    shown.set_defaults(run=lambda options: gallery.gallery(options.trials, options.out, options.check))
    for command, out in ((page, PAGE), (shown, GALLERY)):
        command.add_argument("--trials", type=_path, default=TRIALS, help="folder; default: %(default)s")
        command.add_argument("--out", type=_path, default=out, help="file; default: %(default)s")
        command.add_argument(
            "--check", action="store_true", help="write nothing; exit with 1 if the page is stale"
        )


def _add_board(commands: argparse._SubParsersAction[Parser]) -> None:
    group = commands.add_parser("board", help="show what stored trials say")
    boards = group.add_subparsers(dest="board_command", required=True, metavar="COMMAND")
    show = boards.add_parser("show", help="print the tables of the leaderboard")
    show.add_argument("--track", help="only this track")
    show.add_argument("--ladder", help="only models of this ladder")
    source = show.add_mutually_exclusive_group()
    source.add_argument(
        "--trials", type=_path, default=TRIALS, help="folder or file of *.jsonl; default: %(default)s"
    )
    source.add_argument(
        "--store", type=_path, nargs="?", const=DEFAULT_PATH, help="a store instead; alone: %(const)s"
    )
    show.set_defaults(
        run=lambda options: board.show(
            options.trials, store=options.store, track=options.track, ladder=options.ladder
        )
    )


def _add_pictures(commands: argparse._SubParsersAction[Parser]) -> None:
    taken = commands.add_parser("pictures", help="store pictures of answers beside what was planted")
    taken.add_argument(
        "--technique",
        action="append",
        default=[],
        metavar="NAME",
        help="only this one, by name or pattern (repeatable)",
    )
    taken.add_argument("--model", metavar="ID", help="on this model; default: a small one of each kind")
    taken.add_argument("--seed", type=_seed, default=0, help="default: %(default)s")
    taken.add_argument("--out", type=_path, default=PICTURES, help="folder; default: %(default)s")
    taken.set_defaults(
        run=lambda options: pictures.pictures(options.technique, options.model, options.seed, options.out)
    )


def _add_compare(commands: argparse._SubParsersAction[Parser]) -> None:
    compare = commands.add_parser(
        "compare", help="compare stored trials: what is new, gone, better, worse and the same"
    )
    compare.add_argument("old", metavar="OLD", help="run id, `last`, store, or file or folder of *.jsonl")
    compare.add_argument(
        "new", metavar="NEW", nargs="?", default="last", help="likewise; default: %(default)s"
    )
    compare.add_argument("--store", type=Path, default=DEFAULT_PATH, help="of the runs; default: %(default)s")
    compare.add_argument(
        "--fail",
        action="append",
        default=[],
        metavar="DROP",
        help="exit with 1 where the skill of a trial (skill:-5%%) or the mean of a technique (mean:-2%%) "
        "dropped by more, or a technique now breaks (repeatable)",
    )
    compare.set_defaults(
        run=lambda options: comparing.compare(
            options.old, options.new, store=options.store, fail=options.fail
        )
    )


def _add_claims(commands: argparse._SubParsersAction[Parser]) -> None:
    claim = commands.add_parser("claims", help="what exported trials say of claims about size and capability")
    claim.add_argument("names", nargs="*", metavar="NAME", help="only these claims; default: all")
    claim.add_argument("--trials", type=_path, default=TRIALS, help="folder; default: %(default)s")
    claim.add_argument("--json", action="store_true", help="print a list of objects")
    claim.set_defaults(run=lambda options: claims.claims(options.names, options.trials, as_json=options.json))
