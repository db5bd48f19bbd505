"""The transcoder reads what the MLP before the site reads and writes, and finds what its neurons write."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from interp_bench.errors import Inapplicable
from interp_bench.model.opening import open_model
from interp_bench.registry.load import load_registry
from interp_bench.techniques.features.guess import random
from interp_bench.techniques.features.transcoder import read_and_written, transcoder
from interp_bench.tracks.base import Planted
from interp_bench.tracks.features import TRACK, FeatureProblem, FeatureTruth

TASKS = Path(__file__).resolve().parents[2] / "tasks" / "features" / "bench_dictionary.py"


@pytest.fixture(scope="module")
def planted() -> Planted[FeatureProblem, FeatureTruth]:
    spec = importlib.util.spec_from_file_location("bench_dictionary", TASKS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = open_model(load_registry().get("native-30k"))
    return cast(Any, module.dictionary(model, 0))


def test_it_reads_what_the_mlp_reads_and_writes(planted: Planted[FeatureProblem, FeatureTruth]) -> None:
    problem = planted.problem
    read, written = read_and_written(problem)
    layer = int(problem.site.split(".")[1])
    mlp = problem.model.transformer.blocks[layer].mlp
    torch.testing.assert_close(mlp(read), written)
    middle = problem.model.activations(problem.inputs, f"blocks.{layer}.hook_resid_mid")
    torch.testing.assert_close(
        middle.flatten(0, 1)[problem.rows] + written, problem.activations(), rtol=1e-4, atol=1e-5
    )


def test_it_finds_what_neurons_write(planted: Planted[FeatureProblem, FeatureTruth]) -> None:
    problem, truth = planted.problem, planted.truth
    found = TRACK.score(problem, truth, transcoder(problem))
    assert found["mcc"] > TRACK.score(problem, truth, random(problem))["mcc"] + 0.2
    assert found == TRACK.score(problem, truth, transcoder(problem))


def test_a_site_that_no_mlp_writes_is_refused(planted: Planted[FeatureProblem, FeatureTruth]) -> None:
    elsewhere = dataclasses.replace(planted.problem, site="blocks.0.attn.hook_z")
    with pytest.raises(Inapplicable, match="behind an MLP"):
        transcoder(elsewhere)
