"""Plants hold in bfloat16, the format in which networks of billions of parameters are run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from interp_bench.harness.discovery import load_file
from interp_bench.model.opening import open_model
from interp_bench.registry import load_registry
from interp_bench.tracks.catalogue import CATALOGUE

TASKS = Path(__file__).parents[2] / "tasks"
PLANTS = (
    ("circuits/induction", "circuits/bench_induction.py"),
    ("circuits/program", "circuits/bench_program.py"),
    ("attribution/token_evidence", "attribution/bench_evidence.py"),
    ("concepts/marker_concept", "concepts/bench_concept.py"),
    ("features/dictionary", "features/bench_dictionary.py"),
)


@pytest.mark.parametrize("model", ["native-150k", "gpt2-random-6m", "llama-random-6m"])
@pytest.mark.parametrize(("task", "file"), PLANTS)
def test_a_plant_in_bfloat16_is_certified(task: str, file: str, model: str) -> None:
    load_file(TASKS / file)
    host = open_model(load_registry().get(model), dtype=torch.bfloat16)
    planted = CATALOGUE.tasks[task].function(host, 0)
    assert planted.certificate.passed, planted.certificate.reason
    assert host.dtype is torch.bfloat16
