"""Recover a planted dictionary: sparse features that hidden units write to a site of the network."""

from __future__ import annotations

from interp_bench.model.handle import Model
from interp_bench.planting.dictionary import Dials, plant_dictionary
from interp_bench.planting.dictionary_proof import certify_dictionary
from interp_bench.tracks.base import Planted
from interp_bench.tracks.catalogue import Needs, task
from interp_bench.tracks.features import FeatureProblem, FeatureTruth

TECHNIQUE_SEED = 1_000_003
"""Multiplies the seed for techniques, so that their draws are not those of the plant."""


@task(needs=Needs(modalities=("lm",)))
def dictionary(
    model: Model,
    seed: int,
    *,
    ratio: float = 1.0,
    snr: float = 0.7,
    p_hi: float = 0.08,
    p_lo: float = 0.01,
    correlation: float = 0.2,
    samples: int = 0,
) -> Planted[FeatureProblem, FeatureTruth]:
    """Find the sparse features that MLP neurons write to the residual stream of a language model.

    Args:
        model: the host, edited in place.
        seed: seed of plant and data.
        ratio: features per dimension, as far as half of the neurons and 128 features allow.
        snr: norm of the planted part of the stream over that of the host's part.
        p_hi: firing rate of the commonest feature.
        p_lo: firing rate of the rarest feature.
        correlation: share of its detector that a feature has in common with its group.
        samples: number of activations; 0 means 3000, and 1800 where a forward pass is dear.
    """
    dials = Dials(ratio=ratio, snr=snr, p_hi=p_hi, p_lo=p_lo, correlation=correlation, samples=samples)
    return _planted(model, seed, dials)


@task(needs=Needs(modalities=("image",), kinds=("vit", "convnext", "resnet")))
def visual_dictionary(
    model: Model,
    seed: int,
    *,
    ratio: float = 1.0,
    snr: float = 0.7,
    p_hi: float = 0.08,
    p_lo: float = 0.01,
    correlation: float = 0.2,
    samples: int = 0,
) -> Planted[FeatureProblem, FeatureTruth]:
    """Find the sparse features that hidden units write to a residual branch of an image model.

    In a ViT or ConvNeXt the site is the stream after a block; in a ResNet it is the branch before it
    is added, because behind the block's last ReLU features no longer add up.

    Args:
        model: the host, edited in place.
        seed: seed of plant and data.
        ratio: features per dimension, as far as half of the hidden units and 128 features allow.
        snr: norm of the planted part of the site over that of the host's part.
        p_hi: firing rate of the commonest feature.
        p_lo: firing rate of the rarest feature.
        correlation: share of its detector that a feature has in common with its group.
        samples: number of activations; 0 means 3000, and 1800 where a forward pass is dear.
    """
    dials = Dials(ratio=ratio, snr=snr, p_hi=p_hi, p_lo=p_lo, correlation=correlation, samples=samples)
    return _planted(model, seed, dials)


def _planted(model: Model, seed: int, dials: Dials) -> Planted[FeatureProblem, FeatureTruth]:
    planted = plant_dictionary(model, seed, dials)
    problem = FeatureProblem(
        model=model,
        seed=(TECHNIQUE_SEED * (seed + 1)) % 2**31,
        site=planted.branch.site,
        inputs=planted.inputs,
        rows=planted.rows,
        n_features=len(planted.units),
        _recorded=planted.activations,
    )
    truth = FeatureTruth(directions=planted.directions.float(), codes=planted.codes)
    return Planted(problem=problem, truth=truth, certificate=certify_dictionary(model, planted))
