"""The command group ``interp-bench board``: what stored trials say, in the terminal and as a site."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from interp_bench.cli.parser import PICTURES, TRIALS, Commands
from interp_bench.cli.values import path_of
from interp_bench.errors import InterpBenchError, StoreError, near_name
from interp_bench.harness.folders import is_file
from interp_bench.harness.lines import read_lines
from interp_bench.harness.store import DEFAULT_PATH, Store

if TYPE_CHECKING:
    from interp_bench.harness.trial import Trial


def show(trials: Path, *, store: Path | None, track: str | None, ladder: str | None) -> int:
    """Print the tables that ``pytest --bench`` ends with, of exported or stored trials; return 0.

    Args:
        trials: folder of ``*.jsonl``, or one such file.
        store: store to read in place of ``trials``; the newest trial of each question counts.
        track: only trials of this track.
        ladder: only trials on models of this ladder.

    Raises:
        InterpBenchError: trials cannot be read, or none is of this track or ladder.
    """
    from interp_bench.board.terminal import summary

    found = load_trials(trials) if store is None else _stored(store)
    if track is not None:
        found = _only(found, track, "track", lambda trial: trial.track)
    if ladder is not None:
        found = _only(found, ladder, "ladder", lambda trial: trial.ladder)
    print(summary(found))
    return 0


def build(trials: Path, out: Path, *, pictures: Path) -> int:
    """Write the site into a folder; return 0.

    Args:
        trials: folder of ``*.jsonl``, or one such file.
        out: an empty or new folder, or a site that is replaced.
        pictures: folder of pictures of answers; where there is none, pages go without.

    Raises:
        InterpBenchError: trials or pictures cannot be read, the folder cannot be written or
            holds something else, or a library of the extra ``site`` is not installed.
    """
    from interp_bench.board.site import runtime

    runtime.require()
    from interp_bench.board.site.build import build as build_site
    from interp_bench.board.site.pictures import pictures_of
    from interp_bench.cli.claims import model_facts
    from interp_bench.cli.describing import Describing, cards

    with closing(Describing()) as describing:
        built = build_site(
            trials,
            out,
            exhibits=describing.exhibits(),
            cards=cards(),
            pictures=pictures_of(pictures),
            facts=model_facts(),
        )
    size = f"{built.bytes / 1e6:.1f} MB"
    print(f"{out} written: {built.pages} pages in {built.files} files, {size}; open {out / 'index.html'}")
    return 0


def load_trials(path: Path) -> Sequence[Trial]:
    """Read exported trials.

    Args:
        path: a folder of ``*.jsonl``, or one file.

    Raises:
        StoreError: there are none, or a line is no trial.
    """
    from interp_bench.board import jsonl

    return read_lines(path) if is_file(path) else jsonl.read(path)


def _stored(path: Path) -> Sequence[Trial]:
    if not is_file(path):
        raise StoreError(f"there is no store {path}; make one with: pytest --bench")
    with Store.open(path) as store:
        return store.latest()


def _only(trials: Sequence[Trial], name: str, noun: str, of: Callable[[Trial], str]) -> Sequence[Trial]:
    kept = [trial for trial in trials if of(trial) == name]
    if not kept:
        known = sorted({of(trial) for trial in trials} - {""})
        listed = f"; there are {', '.join(known)}" if known else ""
        raise InterpBenchError(f"no trial is of the {noun} {name!r}{near_name(name, known)}{listed}")
    return kept


def add_to(commands: Commands) -> None:
    """Add the commands `board ...`."""
    group = commands.add_parser("board", help="show what stored trials say, or make a site of it")
    boards = group.add_subparsers(dest="board_command", required=True, metavar="COMMAND")
    shown = boards.add_parser("show", help="print the tables of the leaderboard")
    shown.add_argument("--track", help="only this track")
    shown.add_argument("--ladder", help="only models of this ladder")
    source = shown.add_mutually_exclusive_group()
    source.add_argument(
        "--trials", type=path_of, default=TRIALS, help="folder or file of *.jsonl; default: %(default)s"
    )
    source.add_argument(
        "--store", type=path_of, nargs="?", const=DEFAULT_PATH, help="a store instead; alone: %(const)s"
    )
    shown.set_defaults(
        run=lambda options: show(
            options.trials, store=options.store, track=options.track, ladder=options.ladder
        )
    )
    made = boards.add_parser("build", help="write a site that works from a disk, without a server")
    made.add_argument(
        "--out", type=path_of, required=True, help="a new or empty folder, or a site to replace"
    )
    made.add_argument(
        "--trials", type=path_of, default=TRIALS, help="folder or file of *.jsonl; default: %(default)s"
    )
    made.add_argument(
        "--pictures", type=path_of, default=PICTURES, help="folder of pictures; default: %(default)s"
    )
    made.set_defaults(run=lambda options: build(options.trials, options.out, pictures=options.pictures))
