"""Two planted variables decide logits of their own; find where the labelled one lives, and not the other.

In the training data the two variables go together most of the time, so what separates the classes is
partly the wrong variable. In the held-out pairs that grade the answer they are independent.
"""

from __future__ import annotations

import torch
from torch import Tensor

from interp_bench.model.handle import Model
from interp_bench.planting.concepts.causal import CausalModel, Variable
from interp_bench.planting.evidence.base import Evidence, Scene
from interp_bench.planting.evidence.plant import plant_evidence
from interp_bench.tracks.base import Planted
from interp_bench.tracks.catalogue import Needs, task
from interp_bench.tracks.concepts import ConceptProblem, ConceptTruth, orthonormal
from interp_bench.tracks.planted_concept import Question, independent_seeds, planted_concept, thinned


@task(
    version=1,
    needs=Needs(modalities=("lm",)),
    quick=Needs(modalities=("lm",), max_params=10_000_000),
)
def marker_concept(
    model: Model,
    seed: int,
    *,
    n_values: int = 4,
    n_train: int = 256,
    correlation: float = 0.6,
    length: int = 16,
) -> Planted[ConceptProblem, ConceptTruth]:
    """Which of a few marker tokens stands in the text, read at its last token."""
    return _plant(model, seed, n_values, n_train, correlation, Scene(length=length))


@task(
    version=1,
    needs=Needs(modalities=("image",), kinds=("resnet", "convnext", "vit")),
    quick=Needs(max_params=1_000_000),
)
def visual_concept(
    model: Model, seed: int, *, n_values: int = 4, n_train: int = 256, correlation: float = 0.6
) -> Planted[ConceptProblem, ConceptTruth]:
    """Which of a few patterns stands somewhere in the image, read at the class token or over the map."""
    return _plant(model, seed, n_values, n_train, correlation)


def _plant(
    model: Model, seed: int, n_values: int, n_train: int, correlation: float, scene: Scene | None = None
) -> Planted[ConceptProblem, ConceptTruth]:
    plant_seed, *seeds = independent_seeds(seed, 4)
    evidence = plant_evidence(model, (n_values, n_values), seed=plant_seed, scene=scene or Scene())
    sites = _undecided(model, evidence)
    starts = torch.tensor([evidence.members(0).start, evidence.members(1).start])

    def show(values: Tensor, generator: torch.Generator) -> Tensor:
        return evidence.sample(values + starts, generator).inputs

    variables = tuple(
        Variable(
            name=name,
            outputs=evidence.outputs[evidence.members(group)],
            carriers={
                site: orthonormal(evidence.carriers[site][evidence.members(group)])
                for site in sites
                if site in evidence.carriers
            },
        )
        for group, name in enumerate(("variable", "other_variable"))
    )
    question = Question(
        causal=CausalModel(variables=variables, position=evidence.position),
        evidence=evidence,
        show=show,
        sites=sites,
        n_values=n_values,
        n_train=n_train,
        ties=(correlation,),
    )
    return planted_concept(model, question, seeds=seeds)


def _undecided(model: Model, evidence: Evidence) -> tuple[str, ...]:
    """Return the sites from which the logits do not yet follow by the head's own weights.

    A transformer decides in threshold neurons and carries on with other directions, which are rows of
    its head; the last block of a CNN is read by the head too. Asking there would be trivial.
    """
    if evidence.position is None:
        return thinned(model.sites[:-1])
    carrying = [site for site in model.sites if site in evidence.carriers]
    first = evidence.carriers[carrying[0]]
    last = [site for site in carrying if torch.equal(evidence.carriers[site], first)][-1]
    return thinned(model.sites[: model.sites.index(last) + 1])
