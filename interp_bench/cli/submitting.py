"""The trials of a run to one file that others can check."""

from __future__ import annotations

from pathlib import Path

from interp_bench.board.files import write_whole
from interp_bench.cli.results import run_id
from interp_bench.errors import StoreError
from interp_bench.harness.folders import is_file
from interp_bench.harness.store import Store


def submit(store: Path, out: Path, *, run: str, note: str) -> int:
    """Pack a run and write it; return 0.

    Args:
        store: file of the store.
        out: the file to write.
        run: id of the run, or ``last``.
        note: of the author, free text.

    Raises:
        StoreError: there is no such store or run, a trial contradicts itself, or ``out`` cannot be written.
    """
    from interp_bench.board import submission

    if not is_file(store):
        raise StoreError(f"there is no store {store}; make one with: pytest --bench")
    with Store.open(store) as opened:
        run = run_id(opened, run)
        trials = opened.trials(run)
    content = submission.pack(trials, run=run, note=note)
    packed = submission.unpack(content, str(out))
    write_whole(out, content)
    print(f"{out}: {len(packed.trials)} trials of run {run}, sha256 {packed.sha256}")
    print(f"check it with: interp-bench verify {out}")
    return 0
