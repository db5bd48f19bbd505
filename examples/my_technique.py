"""A technique in a file of its own: ``pytest --bench --bench-technique my_technique.py`` scores it."""

import torch

from interp_bench import Dictionary, FeatureProblem, technique


@technique(
    cites="Gonzalez 1985, Clustering to minimize the maximum intercluster distance",
    cost="one product of samples and a direction for each direction",
)
def exemplars(problem: FeatureProblem, *, loudest: float = 0.25) -> Dictionary:
    """Samples with a large norm, each as far from those before it as possible.

    Args:
        problem: the problem.
        loudest: share of the samples to choose from, those with the largest norm.
    """
    x = problem.activations()  # (n_samples, d_site)
    x = x - x.mean(dim=0)
    loud = x[x.norm(dim=1).argsort(descending=True)[: int(loudest * len(x))]]
    unit = loud / loud.norm(dim=1, keepdim=True)
    chosen, nearest = [0], unit @ unit[0]
    while len(chosen) < problem.max_directions:
        farthest = int(nearest.argmin())
        chosen.append(farthest)
        nearest = torch.maximum(nearest, unit @ unit[farthest])
    return Dictionary(directions=unit[chosen])
