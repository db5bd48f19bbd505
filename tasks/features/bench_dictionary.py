"""Recover a planted dictionary: sparse features that hidden units write to a site of the network."""

from __future__ import annotations

from interp_bench.model.handle import Model
from interp_bench.planting.dictionaries.plant import Dials, plant_dictionary
from interp_bench.planting.dictionaries.proof import certify_dictionary
from interp_bench.tracks.base import Planted
from interp_bench.tracks.catalogue import Needs, task
from interp_bench.tracks.features import FeatureProblem, FeatureTruth

TECHNIQUE_SEED = 1_000_003
"""Multiplies the seed for techniques, so that their draws are not those of the plant."""


@task(version=2, needs=Needs(modalities=("lm",)))
def dictionary(
    model: Model,
    seed: int,
    *,
    ratio: float = 1.0,
    snr: float = 0.7,
    p_hi: float = 0.08,
    p_lo: float = 0.01,
    zipf: float = 0.0,
    hierarchy: float = 0.0,
    correlation: float = 0.2,
    magnitude_noise: float = 0.0,
    samples: int = 0,
) -> Planted[FeatureProblem, FeatureTruth]:
    """Find the sparse features that MLP neurons write to the residual stream of a language model.

    Args:
        model: the host, edited in place.
        seed: seed of plant and data.
        ratio: features per dimension, up to 8. Up to 1, as far as half of the neurons and 128 features
            allow; above 1 exactly, in the neurons of several blocks where one has not enough.
        snr: norm of the planted part of the stream over that of the host's part.
        p_hi: firing rate of the commonest feature.
        p_lo: firing rate of the rarest feature; a child fires at most 0.3 times as often as its parent.
        zipf: exponent of Zipf's law between the two; 0 spaces rates evenly on a log scale.
        hierarchy: share of features that are children, up to 2/3: they fire only with their parent,
            and never with the other child of that parent.
        correlation: share of its detector that a feature has in common with its group.
        magnitude_noise: how much features differ in loudness: each is |1 + this * normal| as loud as usual.
        samples: number of activations; 0 means 3000, and 1800 where a forward pass is dear.
    """
    dials = Dials(
        ratio=ratio,
        snr=snr,
        p_hi=p_hi,
        p_lo=p_lo,
        zipf=zipf,
        hierarchy=hierarchy,
        correlation=correlation,
        magnitude_noise=magnitude_noise,
        samples=samples,
    )
    return _planted(model, seed, dials)


@task(version=2, needs=Needs(modalities=("image",), kinds=("vit", "convnext", "resnet")))
def visual_dictionary(
    model: Model,
    seed: int,
    *,
    ratio: float = 1.0,
    snr: float = 0.7,
    p_hi: float = 0.08,
    p_lo: float = 0.01,
    zipf: float = 0.0,
    hierarchy: float = 0.0,
    correlation: float = 0.2,
    magnitude_noise: float = 0.0,
    samples: int = 0,
) -> Planted[FeatureProblem, FeatureTruth]:
    """Find the sparse features that hidden units write to a residual branch of an image model.

    In a ViT or ConvNeXt the site is the stream after a block; in a ResNet it is the branch before it
    is added, because behind the block's last ReLU features no longer add up.

    Args:
        model: the host, edited in place.
        seed: seed of plant and data.
        ratio: features per dimension, up to 8. Up to 1, as far as half of the hidden units and 128
            features allow; above 1 exactly, in the units of several blocks where one has not enough.
            In a ResNet one branch writes to the site, with room for about 0.88.
        snr: norm of the planted part of the site over that of the host's part.
        p_hi: firing rate of the commonest feature.
        p_lo: firing rate of the rarest feature; a child fires at most 0.3 times as often as its parent.
        zipf: exponent of Zipf's law between the two; 0 spaces rates evenly on a log scale.
        hierarchy: share of features that are children, up to 2/3: they fire only with their parent,
            and never with the other child of that parent.
        correlation: share of its detector that a feature has in common with its group.
        magnitude_noise: how much features differ in loudness: each is |1 + this * normal| as loud as usual.
        samples: number of activations; 0 means 3000, and 1800 where a forward pass is dear.
    """
    dials = Dials(
        ratio=ratio,
        snr=snr,
        p_hi=p_hi,
        p_lo=p_lo,
        zipf=zipf,
        hierarchy=hierarchy,
        correlation=correlation,
        magnitude_noise=magnitude_noise,
        samples=samples,
    )
    return _planted(model, seed, dials)


def _planted(model: Model, seed: int, dials: Dials) -> Planted[FeatureProblem, FeatureTruth]:
    planted = plant_dictionary(model, seed, dials)
    problem = FeatureProblem(
        model=model,
        seed=(TECHNIQUE_SEED * (seed + 1)) % 2**31,
        site=planted.site,
        inputs=planted.inputs,
        rows=planted.rows,
        n_features=len(planted.gains),
        _recorded=planted.activations,
    )
    truth = FeatureTruth(directions=planted.directions.float(), codes=planted.codes)
    return Planted(problem=problem, truth=truth, certificate=certify_dictionary(model, planted))
