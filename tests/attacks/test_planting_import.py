"""The import of planting: refused with a reason. It is a sign-post for honest authors and no wall."""

from __future__ import annotations

import pytest

from interp_bench.harness.isolation.signpost import is_closed
from tests.attacks.conftest import WORKERS, Tells
from tests.isolated.lab import Lab


@pytest.mark.parametrize(
    "statement",
    [
        "import interp_bench.planting.certificate",
        "from interp_bench.planting import dictionaries",
        "from interp_bench.harness.store import Store",
        "import interp_bench.harness.runner",
    ],
)
def test_the_import_of_planting_or_the_harness_is_explained(lab: Lab, statement: str) -> None:
    for isolate in WORKERS:
        trial = lab.run(statement, isolate=isolate).trial
        assert trial.status == "failed"
        assert trial.reason.startswith("ImportError: techniques do not import interp_bench.")
        assert trial.reason.endswith("comes with the problem")


def test_it_is_explained_at_the_top_of_a_file_too(lab: Lab) -> None:
    name = lab.write("pass", head="if 'interp_bench.harness.runner' not in __import__('sys').modules:\n"
                     "    from interp_bench.planting import certificate\n")  # fmt: skip
    trial = lab.runner().run(lab.cell(name)).trial
    assert trial.status == "failed"
    assert (
        "cannot be imported (line 2): ImportError: techniques do not import interp_bench.planting"
        in trial.reason
    )


def test_it_is_no_wall(tells: Tells) -> None:
    """A cheat finds the code in memory, or carries a copy. It is public; the truth is elsewhere."""
    found = tells("""
import types
gc.unfreeze()
functions = [thing for thing in gc.get_objects() if isinstance(thing, types.FunctionType)]
tell(sorted({f.__module__ for f in functions if str(f.__module__).startswith("interp_bench.planting.cert")}))
""")
    assert found == ["interp_bench.planting.certificate"]


def test_what_workers_and_techniques_need_is_open() -> None:
    closed = ("interp_bench.planting", "interp_bench.planting.heads", "interp_bench.harness.store")
    opened = (
        "interp_bench",
        "interp_bench.tracks.base",
        "interp_bench.model.handle",
        "interp_bench.plantings",
    )
    needed = ("interp_bench.harness", "interp_bench.harness.isolation.wire", "interp_bench.harness.discovery")
    assert [is_closed(name) for name in closed] == [True] * len(closed)
    assert not any(is_closed(name) for name in opened + needed)
