"""Statistics of features with the parameters of SynthSAEBench-16k, beside its published figures.

Run ``python benchmarks/feature_statistics.py [--steps 100] [--samples 4096]``. Published (SAELens
documentation of SynthSAEBench): about 34 features fire at once, about 25 of the 4,096 commonest.
Steps push the directions apart; each takes about a second on one core, so that none is the default.
"""

from __future__ import annotations

import argparse

import torch
from tabulate import tabulate

from interp_bench.planting.dictionaries.directions import largest_cosines, random_directions
from interp_bench.planting.dictionaries.statistics import SYNTH_SAE_BENCH_16K, FeatureStatistics

COMMON = 4096


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--samples", type=int, default=4096)
    options = parser.parse_args()
    parameters = SYNTH_SAE_BENCH_16K
    generator = torch.Generator().manual_seed(42)
    directions = random_directions(
        parameters.n_features, parameters.width, generator, steps=options.steps, lr=3e-4
    )
    subject = FeatureStatistics(parameters, directions, generator)
    active = common = 0
    for codes in subject.codes(options.samples, generator):
        active += int((codes > 0).sum())
        common += int((codes[:, :COMMON] > 0).sum())
    rows = [
        ("features that fire at once", active / options.samples, "about 34"),
        (f"of the {COMMON} commonest", common / options.samples, "about 25"),
        ("mean largest |cosine|", float(largest_cosines(directions).mean()), "0.148 at random"),
    ]
    print(tabulate(rows, headers=("", "here", "published"), floatfmt=".4g"))


if __name__ == "__main__":
    main()
