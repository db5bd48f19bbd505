"""Write what interventions of pyvene 0.1.8 do to fixed activations; run it where pyvene is installed.

python tests/reference/pyvene_interventions.py > tests/reference/pyvene_interventions.json
"""

from __future__ import annotations

import json
from pathlib import Path

import pyvene
import torch
from pyvene.models.basic_utils import sigmoid_boundary

WIDTH, RANK = 5, 2


def rows(values: torch.Tensor) -> list[list[float]]:
    """Return numbers that JSON holds."""
    found: list[list[float]] = values.detach().double().tolist()
    return found


def main() -> None:
    """Write the reference values."""
    torch.manual_seed(0)
    base, source = torch.randn(3, WIDTH), torch.randn(3, WIDTH)
    low = pyvene.LowRankRotatedSpaceIntervention(embed_dim=WIDTH, low_rank_dimension=RANK)
    mask = pyvene.SigmoidMaskIntervention(embed_dim=WIDTH)
    mask.mask.data = torch.tensor([0.3, -0.2, 0.05, 1.0, -1.5])
    mask.set_temperature(torch.tensor(0.5))
    whole = pyvene.BoundlessRotatedSpaceIntervention(embed_dim=WIDTH)
    whole.set_temperature(torch.tensor(0.4))
    whole.set_intervention_boundaries(0.45)
    index = torch.arange(WIDTH).float()
    Path(__file__).with_suffix(".json").write_text(
        json.dumps(
            {
                "pyvene": "0.1.8",
                "base": rows(base),
                "source": rows(source),
                "low_rank": {
                    "rotation": rows(low.rotate_layer.weight),
                    "output": rows(low(base, source)),
                },
                "sigmoid_mask": {
                    "logits": mask.mask.tolist(),
                    "temperature": 0.5,
                    "output": rows(mask(base, source)),
                },
                "boundless": {
                    "rotation": rows(whole.rotate_layer.weight),
                    "boundary": 0.45,
                    "temperature": 0.4,
                    "output": rows(whole(base, source)),
                    "mask": sigmoid_boundary(index, 0.0, torch.tensor(0.45 * WIDTH), 0.4).tolist(),
                },
            },
            indent=1,
        )
        + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
