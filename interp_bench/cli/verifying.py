"""Checking a submission: its hashes, and a random sample of its trials by running them again here."""

from __future__ import annotations

import random
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from interp_bench.board.files import write_whole
from interp_bench.errors import StoreError, one_line
from interp_bench.harness.folders import is_file

if TYPE_CHECKING:
    from interp_bench.board.submission import Submission
    from interp_bench.board.verdicts import Verdict
    from interp_bench.harness.trial import Trial

SAMPLE = 10
"""How many trials are run again unless the user says otherwise."""

ISOLATE: bool | None = None
"""Whether techniques run in processes of their own; None for wherever that is possible."""


def verify(
    path: Path,
    *,
    sample: int,
    seed: int | None,
    tolerance: float | None,
    techniques: Sequence[Path],
    out: Path | None,
) -> int:
    """Check a file, run a sample of it again, and print a table; return 0 if nothing differs.

    Args:
        path: of the submission.
        sample: how many of its trials to run again; 0 checks the file only.
        seed: of the sample; None draws one, which the author of the submission could not know.
        tolerance: largest difference of skill; None for none at all in the same surroundings.
        techniques: python files of techniques that no package defines.
        out: file for the verdicts as JSON, or None.

    Returns:
        0 if trials were verified and none differs, or none were asked for; else 1.

    Raises:
        InterpBenchError: the file is no submission or was changed, or a technique cannot be loaded.
    """
    from interp_bench.board import submission, verdicts

    if not is_file(path):
        raise StoreError(f"there is no file {path}; make one with: interp-bench submit")
    found = submission.read(path)
    seed = secrets.randbelow(10**9) if seed is None else seed
    print(_about(found, path))
    chosen = draw(found.trials, sample, seed)
    judged = _judged(chosen, path, techniques, tolerance) if chosen else []
    if chosen:
        print(f"{len(chosen)} of them run again here; the same with: --sample {sample} --seed {seed}\n")
        print(verdicts.table(judged))
        print(_rule(tolerance))
    if out is not None:
        about = {"submission": found.sha256, "sample": sample, "seed": seed, "tolerance": tolerance}
        write_whole(out, verdicts.marks(judged, about))
    marks = {verdict.mark for verdict in judged}
    return int("differs" in marks or (bool(chosen) and "verified" not in marks))


def draw(trials: Sequence[Trial], sample: int, seed: int) -> list[Trial]:
    """Return a random sample, each trial with the same chance.

    The rows of the truth have skill 1 whatever happens, so they are drawn only where there are no others.

    Args:
        trials: in an order that does not depend on chance.
        sample: how many; all where there are fewer.
        seed: the same one draws the same trials.
    """
    pool = [trial for trial in trials if trial.role != "ceiling"] or list(trials)
    return random.Random(seed).sample(pool, min(sample, len(pool)))


def _judged(
    chosen: Sequence[Trial], path: Path, techniques: Sequence[Path], tolerance: float | None
) -> list[Verdict]:
    from interp_bench.board.verdicts import cannot, judge
    from interp_bench.harness.grid import Cell
    from interp_bench.harness.rerunning import rerunning

    judged: list[Verdict] = []
    asked: list[Cell] = []
    by_question = {trial.cell: trial for trial in chosen}
    with rerunning(
        run="verify", project=Path.cwd(), files=techniques, hidden=(path.absolute(),), isolate=ISOLATE
    ) as rerun:
        for trial in chosen:
            cell = rerun.cell(trial)
            if isinstance(cell, Cell):
                asked.append(cell)
            else:
                judged.append(cannot(trial, cell))
        judged += [judge(by_question[cell.identity], again, tolerance) for cell, again in rerun.run(asked)]
    return judged


def _about(found: Submission, path: Path) -> str:
    from interp_bench.board.figures import names_text, plural
    from interp_bench.board.submission import gaps

    techniques = sum(trial.role == "technique" for trial in found.trials)
    lines = [
        f"{path}: run {found.head.run}, {len(found.trials)} trials, {techniques} of them of techniques",
        f"sha256 {found.sha256}; layout and hashes are right, and each trial agrees with itself",
    ]
    missing = gaps(found.trials)
    if missing:
        names = names_text(missing, limit=2)
        lines.append(f"{plural(len(missing), 'trial')} missing, of seeds that others have: {names}")
    if found.head.note:
        lines.append(f"note of its author: {found.head.note}")
    return "\n".join(map(one_line, lines))


def _rule(tolerance: float | None) -> str:
    from interp_bench.board.verdicts import TOLERANCE

    if tolerance is not None:
        return f"verified: the same status, and skill within {tolerance:g}."
    return (
        "verified: the same bit for bit where platform, versions, device and threads are the same;\n"
        f"elsewhere the same status, and skill within {TOLERANCE:g}. Processors of one platform may round\n"
        "differently: where that may be so, give --tolerance."
    )
