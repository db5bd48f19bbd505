"""A small board for tests of the site: what works, what falls, what failed and what does not apply."""

from __future__ import annotations

import random

import numpy as np

from interp_bench.board.gallery import Exhibit
from interp_bench.board.site.cards import ModelCard
from interp_bench.harness.trial import CheckNumbers, Trial
from tests.simulated import SimulatedTechnique, ladder, simulate

GOOD = CheckNumbers(value=0.99, relation=">=", bound=0.95, passed=True)
EXHIBIT = Exhibit(
    name="steady",
    track="circuits",
    summary="Finds edges & <keeps> them.",
    note="Only on odd days.",
    access="forward",
    cost="one pass",
    runs_on="lm",
    cites="Nobody 2026",
    arguments={"steps": 3},
)
CARD = ModelCard(id="rungs-1000", license="Apache-2.0", tier="quick", about="Rungs, one a size.")


class NoVega:
    """Stands for the process that bundles Vega."""

    def script(self) -> str:
        return "window.vegaEmbed = null;\n"

    def close(self) -> None:
        pass


def small_board() -> list[Trial]:
    """Return trials of a steady technique, one that falls with size, the truth and guessing, shuffled."""

    def rule(technique, task, model):
        if technique.name == "falling":
            return 0.9 if model.params < 50_000 else 0.1
        return {"steady": 0.8, "ceiling": 1.0, "random": 0.0}[technique.name]

    models = [
        *ladder([1_000, 10_000, 100_000, 1_000_000]),
        *ladder([2_000, 200_000], name="nets", modality="image"),
    ]
    trials: list[Trial] = []
    for track in ("circuits", "features"):
        names = ("steady", "falling", "ceiling", "random")
        techniques = [
            SimulatedTechnique(name=name, track=track, seconds=1 + i) for i, name in enumerate(names)
        ]
        trials += simulate(
            rule,
            models=models,
            techniques=techniques,
            tasks=("planted", "other"),
            generator=np.random.default_rng(0),
            noise=0.01,
        )
    trials = [_dressed(trial) for trial in trials]
    random.Random(1).shuffle(trials)
    return trials


def _dressed(trial: Trial) -> Trial:
    """Give a trial its role and a certificate, and let one cell fail and one be skipped."""
    role = {"ceiling": "ceiling", "random": "floor"}.get(trial.technique, "technique")
    fields = {"role": role, "certificate": {"sufficiency": GOOD, "necessity[a]": GOOD}}
    if role == "ceiling":
        fields |= {"skill": 1.0, "scores": {"average_precision": 1.0}}
    place = (trial.technique, trial.model, trial.task, trial.track)
    if place == ("falling", "rungs-1000000", "planted", "circuits"):
        fields |= {
            "status": "failed",
            "reason": "ValueError: </script> & \u2028",
            "skill": None,
            "scores": {},
        }
    if place == ("falling", "nets-200000", "planted", "circuits"):
        fields |= {"status": "skipped", "reason": "does not apply", "skill": None, "scores": {}}
    return trial.model_copy(update=fields)
