"""A network whose concept is known by hand: two variables are added to one token and read at the next.

The first token of an input spells the values (v, w) of two variables and a noise vector; the second
token says nothing. Site ``before`` is the embedding. Then everything is added to the second position,
site ``after``, where the head reads it: logits are the coordinates on the variables' own directions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from interp_bench.model.handle import Model
from interp_bench.planting.concepts.causal import CausalModel, Variable
from interp_bench.registry import load_registry
from interp_bench.tracks.concepts import ConceptProblem, ConceptTruth
from interp_bench.tracks.recall import Recall

COPIES = 40


class Toy(nn.Module):
    """Embeds (batch, 2) tokens; logits (batch, 2, 2 * n_values), those of v first."""

    def __init__(self, n_values: int, width: int, noise: float, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        frame = (
            torch.linalg.qr(torch.randn(width, width, generator=generator)).Q if seed else torch.eye(width)
        )
        self.carriers = frame[: 2 * n_values]
        every = torch.cartesian_prod(torch.arange(n_values), torch.arange(n_values)).repeat(COPIES, 1)
        spelled = self.carriers[every[:, 0]] + self.carriers[every[:, 1] + n_values]
        spelled += (
            noise * torch.randn(len(every), width - 2 * n_values, generator=generator) @ frame[2 * n_values :]
        )
        self.values = every
        self.embedding = nn.Embedding(len(every) + 1, width)
        self.embedding.weight.data = torch.cat([spelled, torch.zeros(1, width)])
        self.before, self.after = nn.Identity(), nn.Identity()

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.before(self.embedding(tokens))
        x = self.after(torch.stack([x[:, 0], x[:, 0] + x[:, 1]], dim=1))
        return x @ self.carriers.T


def toy(
    *, n_values: int = 2, width: int = 8, noise: float = 0.0, seed: int = 0, correlation: float = 0.0
) -> tuple[ConceptProblem, ConceptTruth]:
    """Return a problem on the toy network, and its key. Seed 0 leaves the axes unrotated."""
    module = Toy(n_values, width, noise, seed).eval().requires_grad_(False)
    model = Model(load_registry().get("native-30k"), module)
    generator = torch.Generator().manual_seed(seed + 1)
    half = len(module.values) // 2
    tied = (module.values[:half, 0] == module.values[:half, 1]).float()
    weights = (1 - correlation) / n_values + tied * correlation
    drawn = torch.multinomial(weights, 240, replacement=True, generator=generator)
    problem = ConceptProblem(
        model=model,
        seed=seed,
        inputs=_inputs(module, drawn),
        labels=module.values[drawn, 0],
        n_values=n_values,
        outputs=torch.arange(n_values),
        sites=("before", "after"),
        position=-1,
    )
    held_out = torch.arange(half, half + 4 * n_values**2)
    values = module.values[held_out]
    pairs = (values[:, None] != values[None]).all(2).nonzero()
    truth = ConceptTruth(
        causal=CausalModel(
            variables=tuple(
                Variable(name=name, outputs=outputs, carriers={"after": module.carriers[outputs]})
                for name, outputs in zip("vw", torch.arange(2 * n_values).view(2, n_values), strict=True)
            ),
            position=-1,
        ),
        inputs=_inputs(module, held_out),
        values=values,
        base=pairs[:, 0],
        source=pairs[:, 1],
        recall=Recall(-1),
    )
    return problem, truth


def hard() -> tuple[ConceptProblem, ConceptTruth]:
    """Noise, a rotation, and a second variable that mostly goes with the first."""
    return toy(n_values=4, width=24, noise=0.3, seed=7, correlation=0.5)


def _inputs(module: Toy, index: Tensor) -> Tensor:
    blank = torch.full_like(index, len(module.values))
    return torch.stack([index, blank], dim=1)
