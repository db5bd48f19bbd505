"""Lenses on a random network: norm and head of its stream, and translators that start as the identity."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from interp_bench.errors import Inapplicable
from interp_bench.model.handle import Model
from interp_bench.model.opening import open_model
from interp_bench.registry import load_registry
from interp_bench.techniques.concepts.lenses import (
    Translator,
    Tuning,
    Unembedding,
    lens_directions,
    logit_lens,
    tune,
    tuned_lens,
)
from interp_bench.tracks.concepts import TRACK, ConceptProblem


@pytest.fixture(scope="module")
def model() -> Model:
    return open_model(load_registry().get("native-30k"))


@pytest.fixture(scope="module")
def problem(model: Model) -> ConceptProblem:
    """Ask for what the network itself decides: which of four logits is the largest."""
    inputs = torch.randint(128, (192, 8), generator=torch.Generator().manual_seed(0))
    outputs = torch.tensor([3, 50, 7, 101])
    with torch.no_grad():
        labels = model(inputs)[:, -1][:, outputs].argmax(1)
    return ConceptProblem(
        model=model,
        seed=0,
        inputs=inputs,
        labels=labels,
        n_values=4,
        outputs=outputs,
        sites=model.sites,
        position=-1,
    )


def test_the_unembedding_is_norm_and_head(problem: ConceptProblem, model: Model) -> None:
    values = torch.randn(5, 32, generator=torch.Generator().manual_seed(1))
    anatomy = model.transformer
    wanted = anatomy.head.apply(anatomy.final_norm(values))
    torch.testing.assert_close(Unembedding(problem)(values), wanted)


def test_at_the_last_site_the_lens_shows_the_networks_own_logits(
    problem: ConceptProblem, model: Model
) -> None:
    shown = Unembedding(problem)(problem.features(model.sites[-1]))
    torch.testing.assert_close(shown, model.logits(problem.inputs)[:, -1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["vit-slim-200k", "convnext-slim-20k"])
def test_in_image_models_too(name: str) -> None:
    image_model = open_model(load_registry().get(name))
    size = image_model.image_size
    inputs = torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(0))
    asked = ConceptProblem(
        model=image_model,
        seed=0,
        inputs=inputs,
        labels=torch.tensor([0, 1, 0]),
        n_values=2,
        outputs=torch.arange(2),
        sites=image_model.sites,
        position=0 if name.startswith("vit") else None,
    )
    shown = Unembedding(asked)(asked.features(image_model.sites[-1]))
    torch.testing.assert_close(shown, image_model.logits(inputs), rtol=1e-3, atol=1e-3)
    other_widths = tuple(s for s in asked.sites if image_model.width(s) != Unembedding(asked).width)
    with pytest.raises(Inapplicable, match="no site is"):
        logit_lens(replace(asked, sites=other_widths, _recall=None))


def test_lens_directions_are_the_heads_rows_where_the_norm_is_far_from_its_mean(
    problem: ConceptProblem, model: Model
) -> None:
    # The gradient of a normed logit is the centred row of the head, less its part along the activation.
    lens, site = Unembedding(problem), model.sites[-1]
    x = problem.features(site)
    head = model.transformer.head.view()[:, problem.outputs].T.float()
    rows = head - head.mean(0)
    rows = rows - rows.mean(1, keepdim=True)
    centred = x - x.mean(1, keepdim=True)
    unit = torch.nn.functional.normalize(centred, dim=1)
    scale = centred.var(1, unbiased=False).add(1e-5).sqrt()
    along = (rows @ unit.T)[:, :, None] * unit
    wanted = ((rows[:, None] - along) / scale[:, None]).sum(1)
    basis = lens_directions(problem, lens, site)
    torch.testing.assert_close(wanted @ basis.T @ basis, wanted, rtol=1e-3, atol=1e-3)


def test_the_logit_lens_finds_the_site_at_which_the_head_reads(problem: ConceptProblem, model: Model) -> None:
    answer = logit_lens(problem)
    TRACK.check(problem, answer)
    assert answer.site == model.sites[-1]
    assert answer.basis.shape == (3, 32)


def test_an_untrained_translator_is_the_logit_lens(problem: ConceptProblem, model: Model) -> None:
    unembed, site = Unembedding(problem), model.sites[1]
    x = problem.features(site)
    same = Translator(32, 32, x.device)
    torch.testing.assert_close(unembed(same(x)), unembed(x))
    narrow = Translator(2, 3, x.device)
    torch.testing.assert_close(narrow(torch.tensor([[1.0, 2.0]])), torch.tensor([[1.0, 2.0, 0.0]]))


def test_tuning_brings_the_lens_to_the_final_distribution(problem: ConceptProblem, model: Model) -> None:
    unembed, site, final = Unembedding(problem), model.sites[1], model.logits(problem.inputs)[:, -1]
    x = problem.features(site)

    def divergence(translator: Translator) -> float:
        shown = unembed(translator(x)).log_softmax(1)
        return float(
            torch.nn.functional.kl_div(shown, final.log_softmax(1), reduction="batchmean", log_target=True)
        )

    plain = divergence(Translator(32, 32, x.device))
    tuned = divergence(tune(problem, site, unembed, final, Tuning(steps=60, rate=0.02, decay=1e-3)))
    assert tuned < 0.5 * plain


def test_the_tuned_lens_repeats_itself_and_leaves_no_gradient(problem: ConceptProblem, model: Model) -> None:
    early = replace(problem, sites=model.sites[1:3], _recall=None)
    answer = tuned_lens(early, steps=60)
    TRACK.check(early, answer)
    again = tuned_lens(replace(early, _recall=None), steps=60)
    torch.testing.assert_close(answer.basis, again.basis)
    assert not any(parameter.requires_grad for parameter in model.module.parameters())
