"""Stored trials to JSON lines, and JSON lines to the leaderboard page."""

from __future__ import annotations

import sys
from pathlib import Path

from interp_bench.board.files import write_whole
from interp_bench.cli.parser import TRIALS, Commands, Parser
from interp_bench.cli.values import path_of
from interp_bench.errors import StoreError, near_name, one_line
from interp_bench.harness.folders import is_file
from interp_bench.harness.store import DEFAULT_PATH, Store

PAGE = Path("leaderboard") / "README.md"

LAST = "last"


def export(store: Path, out: Path, run: str | None) -> int:
    """Write the newest trial of every question, or those of one run, to ``out``; return 0.

    Raises:
        StoreError: there is no store, it holds no trials, or no such run.
    """
    from interp_bench.board import jsonl

    if not is_file(store):
        raise StoreError(f"there is no store {store}; make one with: pytest --bench")
    with Store.open(store) as opened:
        trials = opened.latest() if run is None else opened.trials(run_id(opened, run))
    if not trials:
        raise StoreError(f"the store {store} holds no trials yet; make some with: pytest --bench")
    files = jsonl.export(trials, out)
    for path, count in files.items():
        print(f"{count:5d} trials  {path}")
    others = sorted(set(out.glob("*.jsonl")) - set(files))
    if others:
        print(f"left as they are: {', '.join(path.name for path in others)}")
    return 0


def leaderboard(trials: Path, out: Path, check: bool) -> int:
    """Write the page, or compare it with what would be written; return 1 if it is stale.

    Raises:
        StoreError: trials cannot be read, or the page cannot be written.
    """
    from interp_bench.board import jsonl
    from interp_bench.board.markdown import page

    content = page(jsonl.read(trials)).encode("utf-8")
    return write_or_check(out, content, check=check, command="leaderboard")


def write_or_check(out: Path, content: bytes, *, check: bool, command: str) -> int:
    """Write a page unless it is there already, or say whether it is; return 1 if it is stale.

    Args:
        out: the file.
        content: what it should hold.
        check: write nothing.
        command: what writes it.

    Raises:
        StoreError: it cannot be read or written.
    """
    try:
        current = out.read_bytes() if is_file(out) else None
    except OSError as error:
        raise StoreError(f"cannot read {out}: {error.strerror or error}") from error
    if check:
        if current == content:
            print(f"{out} is up to date")
            return 0
        fault = "missing" if current is None else "stale"
        words = one_line(f"{out} is {fault}; run: interp-bench {command}")
        print(f"interp-bench: {words}", file=sys.stderr)
        return 1
    if current != content:
        write_whole(out, content)
    print(f"{out} {'is unchanged' if current == content else 'written'}")
    return 0


def run_id(store: Store, run: str) -> str:
    """Return the id of a run of a store; ``last`` is the newest.

    Raises:
        StoreError: the store has no such run.
    """
    runs = store.runs()
    if not runs:
        raise StoreError(f"the store {store.path} holds no runs yet; make one with: pytest --bench")
    if run == LAST:
        return runs[-1]
    if run not in runs:
        raise StoreError(f"the store {store.path} holds no run {run!r}{near_name(run, [LAST, *runs])}")
    return run


def add_page(command: Parser, out: Path) -> None:
    """Add the options of a command that writes a page from exported trials.

    Args:
        command: the command.
        out: where the page is by default.
    """
    command.add_argument("--trials", type=path_of, default=TRIALS, help="folder; default: %(default)s")
    command.add_argument("--out", type=path_of, default=out, help="file; default: %(default)s")
    command.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if the page is stale"
    )


def add_to(commands: Commands) -> None:
    """Add the commands `export` and `leaderboard`."""
    exported = commands.add_parser("export", help="write stored trials as JSON lines, one file a track")
    exported.add_argument("--store", type=path_of, default=DEFAULT_PATH, help="default: %(default)s")
    exported.add_argument("--run-id", help="only the trials of this run, or of the `last` one")
    exported.add_argument("--out", type=path_of, default=TRIALS, help="folder; default: %(default)s")
    exported.set_defaults(run=lambda options: export(options.store, options.out, options.run_id))
    page = commands.add_parser("leaderboard", help="write the leaderboard page from exported trials")
    page.set_defaults(run=lambda options: leaderboard(options.trials, options.out, options.check))
    add_page(page, PAGE)
