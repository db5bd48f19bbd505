"""A rotation of the residual basis leaves every score of the circuits track unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from interp_bench.harness.discovery import load_file, load_installed
from interp_bench.model.handle import Model
from interp_bench.model.opening import open_model
from interp_bench.model.projection import Projection, weight_of
from interp_bench.planting.codes import orthonormal
from interp_bench.registry import load_registry
from interp_bench.tracks.catalogue import CATALOGUE
from interp_bench.tracks.circuits import EdgeScores

TASKS = Path(__file__).parents[2] / "tasks" / "circuits"
TECHNIQUES = (
    "eap", "eap_ig", "gradient_x_activation", "node_patching", "activation_patching", "weight_composition",
)  # fmt: skip


def rotate(model: Model, rotation: torch.Tensor) -> None:
    """Turn the residual stream of a host whose norms have no gains of their own."""
    anatomy = model.transformer
    table = weight_of(anatomy.token_embedding)
    table.copy_((table.double() @ rotation).to(table))
    for layer, block in enumerate(anatomy.blocks):
        for which in (1, 2):
            gain = getattr(anatomy.norm(layer, which), "weight", torch.ones(1))
            assert bool((gain == 1).all())
        for reader in (block.query, block.key, block.value, block.mlp_in, block.mlp_gate):
            if reader is not None:
                reader.write(rotation.T @ reader.read())
        for writer in (block.out, block.mlp_out):
            writer.write(Projection(writer.module).read() @ rotation)
    head = weight_of(anatomy.head.module)
    head.copy_((head.double() @ rotation).to(head))


@pytest.mark.parametrize("seed", [0, 1])
def test_scores_do_not_hang_on_the_basis(seed: int) -> None:
    load_installed()
    load_file(TASKS / "bench_induction.py")
    model = open_model(load_registry().get("native-rope-200k"))
    task = CATALOGUE.tasks["circuits/induction"]
    planted = task.function(model, seed)
    rows = [CATALOGUE.techniques[f"circuits/{name}"] for name in TECHNIQUES]

    def answers() -> list[torch.Tensor]:
        return [row.function(planted.problem.first(4)).scores.double() for row in rows]

    def graded(answer: torch.Tensor) -> dict[str, float]:
        # Rounding must not decide between edges whose scores are equal but for it.
        steps = (answer / answer.abs().max() * 1e3).round()
        return task.track.score(planted.problem, planted.truth, EdgeScores(scores=steps))

    before = answers()
    logits = model.logits(planted.problem.clean)
    rotate(model, orthonormal(model.d_model, model.d_model, torch.Generator().manual_seed(seed)))
    torch.testing.assert_close(model.logits(planted.problem.clean), logits, rtol=1e-3, atol=1e-2)
    for name, one, other in zip(TECHNIQUES, before, answers(), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-2, atol=1e-3 * float(one.abs().max()), msg=name)
        assert graded(other) == pytest.approx(graded(one), abs=0.02), name
