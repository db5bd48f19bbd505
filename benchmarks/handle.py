"""What the model handle costs beside the bare network, and single-edge runs beside a forward.

Run ``python benchmarks/handle.py``; every figure is a ratio of medians measured in turn in one
process, so that it holds where absolute times do not.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from tabulate import tabulate
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge

from interp_bench.model.edges import patched_logits, source_outputs
from interp_bench.model.handle import Model
from interp_bench.model.opening import open_model
from interp_bench.registry import load_registry

ROUNDS = 30


def ratio(subject: Callable[[], object], reference: Callable[[], object]) -> float:
    """Return the median time of ``subject`` over that of ``reference``, run in turn."""
    times: dict[int, list[float]] = {0: [], 1: []}
    for _ in range(ROUNDS):
        for which, run in enumerate((subject, reference)):
            start = time.perf_counter()
            run()
            times[which].append(time.perf_counter() - start)
    return statistics.median(times[0]) / statistics.median(times[1])


def bridge_of(model: Model) -> TransformerBridge:
    """Return TransformerLens' own bridge over the same kind of native model."""
    config = dict(model.spec.source.config)
    return TransformerBridge.boot_native(TransformerBridgeConfig(**config, seed=0))


def row(name: str) -> list[object]:
    model = open_model(load_registry().get(name))
    tokens = torch.randint(0, 60, (8, 16), generator=torch.Generator().manual_seed(0))
    bridge = bridge_of(model)
    outputs = source_outputs(model, tokens.flip(0))
    edge = model.graph.mask([("input", model.graph.destinations[0].name)])

    def recorded() -> None:
        with model.record(*model.sites):
            model(tokens)

    return [
        name,
        f"{model.spec.params:,}",
        ratio(lambda: model(tokens), lambda: model.module(tokens)),
        ratio(recorded, lambda: model.module(tokens)),
        ratio(lambda: bridge(tokens), lambda: model.module(tokens)),
        ratio(lambda: patched_logits(model, tokens, outputs, edge), lambda: model(tokens)),
        ratio(lambda: patched_logits(model, tokens, outputs, model.graph.valid), lambda: model(tokens)),
    ]


def main() -> None:
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    head = ["model", "parameters", "handle", "all sites recorded", "bridge", "one edge cut", "all edges cut"]
    names = ["native-30k", "native-900k", "native-5m"]
    print(
        "time of one batch of 8 x 16 tokens; first three as ratios to the bare module, last two to a forward"
    )
    print(tabulate([row(name) for name in names], headers=head, floatfmt=".2f"))


if __name__ == "__main__":
    main()
