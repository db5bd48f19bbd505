"""Writes what zennit gives for the network of ``tests/relevance_toy.py``.

Run from the root of the repository, in an environment that has zennit beside torch:
``python -m tests.references.zennit_values``.
"""

from __future__ import annotations

import json
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from tests.relevance_toy import OUTPUTS, pixels, relu_network

FILE = Path(__file__).with_suffix(".json")
GAMMA = 0.25


def relevance(composite: Any) -> list[list[float]]:
    """Return the relevance (2, 64) of each pixel of the two inputs, summed over colours."""
    gradient = import_module("zennit.attribution").Gradient
    with gradient(model=relu_network(), composite=composite) as attributor:
        # The relevance that starts at an output is the output itself.
        _, found = attributor(pixels(), lambda out: out * torch.eye(out.shape[1])[list(OUTPUTS)])
    rounded: list[list[float]] = found.sum(1).flatten(1).double().round(decimals=6).tolist()
    return rounded


def main() -> None:
    """Write the file."""
    composites, rules, types = (import_module(f"zennit.{name}") for name in ("composites", "rules", "types"))
    low, high = float(pixels().min()), float(pixels().max())
    values = {
        "versions": {name: version(name) for name in ("zennit", "torch")},
        "gamma_box": relevance(composites.EpsilonGammaBox(low=low, high=high, gamma=GAMMA)),
        "gamma": relevance(
            composites.LayerMapComposite(
                [
                    (types.Activation, rules.Pass()),
                    (types.Convolution, rules.Gamma(gamma=GAMMA)),
                    (types.Linear, rules.Epsilon()),
                ]
            )
        ),
        "epsilon": relevance(
            composites.LayerMapComposite([(types.Activation, rules.Pass()), (types.Linear, rules.Epsilon())])
        ),
    }
    FILE.write_text(json.dumps(values) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
