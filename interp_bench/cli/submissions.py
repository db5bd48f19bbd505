"""The commands by which results travel: ``submit`` and ``verify``."""

from __future__ import annotations

from interp_bench.cli import submitting, values, verifying
from interp_bench.cli.parser import Commands
from interp_bench.harness.store import DEFAULT_PATH


def add_to(commands: Commands) -> None:
    """Add ``submit`` and ``verify``."""
    _add_submit(commands)
    _add_verify(commands)


def _add_submit(commands: Commands) -> None:
    submit = commands.add_parser(
        "submit", help="pack the trials of a run into one file that others can check"
    )
    submit.add_argument("--run", dest="run_id", default="last", help="id of a run; default: %(default)s")
    submit.add_argument("--store", type=values.path_of, default=DEFAULT_PATH, help="default: %(default)s")
    submit.add_argument("--out", type=values.path_of, required=True, metavar="FILE", help="file to write")
    submit.add_argument("--note", default="", metavar="TEXT", help="for whoever reads the file")
    submit.set_defaults(
        run=lambda options: submitting.submit(
            options.store, options.out, run=options.run_id, note=options.note
        )
    )


def _add_verify(commands: Commands) -> None:
    verify = commands.add_parser("verify", help="check a submission, and run a sample of it again here")
    verify.add_argument("file", type=values.path_of, metavar="FILE", help="from `interp-bench submit`")
    verify.add_argument(
        "--sample",
        type=values.count_of,
        default=verifying.SAMPLE,
        metavar="N",
        help="trials to run again; 0 checks hashes only; default: %(default)s",
    )
    verify.add_argument("--seed", type=values.seed_of, help="of the sample; drawn at random unless given")
    verify.add_argument(
        "--tolerance",
        type=values.tolerance_of,
        metavar="X",
        help="largest difference of skill; default: none with the same platform and versions, else 0.02",
    )
    verify.add_argument(
        "--technique",
        type=values.path_of,
        action="append",
        default=[],
        metavar="FILE",
        help="python file of techniques that no package defines (repeatable)",
    )
    verify.add_argument("--out", type=values.path_of, metavar="FILE", help="write the verdicts as JSON")
    verify.set_defaults(
        run=lambda options: verifying.verify(
            options.file,
            sample=options.sample,
            seed=options.seed,
            tolerance=options.tolerance,
            techniques=options.technique,
            out=options.out,
        )
    )
