"""Attribution patching with another backward pass than the gradient's."""

from __future__ import annotations

from contextlib import ExitStack

import torch
from torch import Tensor

from interp_bench.model.attention import attention_patterns
from interp_bench.model.backward_rules import frozen_norms, linear_activations, scaled_gradients
from interp_bench.techniques.circuits.gradients import attribution_patching, summed
from interp_bench.tracks.catalogue import Needs, technique
from interp_bench.tracks.circuits import CircuitProblem, EdgeScores

TRANSFORMERS = ("native", "gpt2", "llama", "qwen2", "neox", "vit", "eva")


def softened(pattern: Tensor, scores: Tensor, temperature: float, factor: float) -> Tensor:
    """Return a pattern whose gradient is that of the softmax at another temperature, times a factor.

    The Jacobian at the scores divided by ``temperature`` takes the place of that at the scores
    themselves (temperature-adjusted softmax gradients); the inner derivative, one over the
    temperature, is left out, as in the authors' code.

    Args:
        pattern: (..., key), what the forward uses.
        scores: (..., key), of which the pattern is the softmax.
        temperature: 1 gives the gradient of the softmax itself.
        factor: the gradient of the scores is multiplied by it.
    """
    warm = torch.softmax(scores / temperature, dim=-1).to(pattern.dtype) * (temperature * factor)
    return pattern.detach() + warm - warm.detach()


@technique(
    cites="Edin et al. 2025, GIM: Improved Interpretability for Large Language Models, section 4",
    access="gradients",
    cost="2 forwards, 1 backward",
    needs=Needs(kinds=TRANSFORMERS),
    quick=Needs(max_params=1_000_000),
)
def gim(problem: CircuitProblem, *, temperature: float = 2.0) -> EdgeScores:
    """Edge attribution patching by gradient interaction modifications.

    The softmax is differentiated at a higher temperature, scales of norms are constants, and gradients
    are divided among the factors of a product: attention pattern and values, queries and keys, gate
    and up projection each get one half.

    Args:
        problem: the pairs and the graph.
        temperature: of the softmax in the backward; 2 as in the paper.
    """

    def edit(layer: int, scores: Tensor, pattern: Tensor) -> Tensor:
        return softened(pattern, scores, temperature, 0.5)

    def score(part: CircuitProblem) -> Tensor:
        with ExitStack() as stack:
            stack.enter_context(frozen_norms(part.model))
            stack.enter_context(scaled_gradients(part.model, 0.5))
            stack.enter_context(attention_patterns(part.model, edit))
            return attribution_patching(part)

    return summed(problem, score)


@technique(
    cites="Rezaei Jafari, Eberle, Khakzar & Nanda 2025, RelP: Faithful and Efficient Circuit Discovery via "
    "Relevance Patching, propagation rules for transformers",
    access="gradients",
    cost="2 forwards, 1 backward",
    quick=Needs(max_params=1_000_000),
)
def relp(problem: CircuitProblem, *, frozen_patterns: bool = True) -> EdgeScores:
    """Edge attribution patching with coefficients of layer-wise relevance propagation for gradients.

    Scales of norms are constants (LN rule), activation functions pass on their ratio of output to input
    (identity rule), the factors of a gated MLP get one half each (half rule), and attention patterns
    are constants (AH rule).

    Args:
        problem: the pairs and the graph.
        frozen_patterns: the AH rule of the paper, under which edges into queries and keys score zero;
            when False patterns have their gradient.
    """

    def edit(layer: int, scores: Tensor, pattern: Tensor) -> Tensor:
        return pattern.detach() if frozen_patterns else pattern

    def score(part: CircuitProblem) -> Tensor:
        with ExitStack() as stack:
            stack.enter_context(frozen_norms(part.model))
            stack.enter_context(linear_activations(part.model))
            if part.model.spec.kind in TRANSFORMERS:
                stack.enter_context(attention_patterns(part.model, edit))
            return attribution_patching(part)

    return summed(problem, score)
