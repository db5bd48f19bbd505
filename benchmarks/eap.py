"""Edge attribution patching on all edges of a GPT-2 small: this package against the published algorithm.

Run ``python benchmarks/eap.py [--pairs N] [--tokens N] [--rounds N] [--write benchmarks/eap.md]``. Both
sides score every edge of the same random network (12 layers, width 768, 12 heads) on the same pairs,
each round in a process of its own, in turn. *Published* is the algorithm of Syed et al. (2023) and of the
EAP-IG code, derived anew here in a plain form: queries, keys and values of each head read a copy of the
residual stream of their own, every head's output is formed, the difference of what all sources
write lies in one tensor (batch, position, source, width), and a hook on each input adds its product
with the gradient to the scores. Memory is what the kernel says the process holds at most, above what it
held before, weights and imports not counted (Linux only). The command fails unless the scores agree.
``--profile`` shows the operators of one side; what was found stands on the page.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
import transformers
from tabulate import tabulate
from torch import Tensor
from torch.nn import functional

from interp_bench.model.handle import Model
from interp_bench.registry import load_registry
from interp_bench.techniques.circuits.gradients import eap
from interp_bench.tracks.circuits import CircuitProblem

SIDES = ("published", "interp_bench")
BAR_TIME, BAR_MEMORY = 2.0, 0.5


def build(pairs: int, tokens: int) -> CircuitProblem:
    """Return random pairs for a GPT-2 small of random weights, large enough that every part matters."""
    config = transformers.GPT2Config(attn_implementation="eager")
    torch.manual_seed(0)
    network = transformers.GPT2LMHeadModel(config).eval().requires_grad_(False)
    spec = load_registry().get("gpt2-random-85m")
    model = Model(spec, network)
    model.last_only = True
    inputs = torch.randint(config.vocab_size, (2, pairs, tokens))
    return CircuitProblem(
        model=model, seed=0, clean=inputs[0], corrupted=inputs[1], outcomes=torch.tensor([[3, 4]] * pairs)
    )


class Published:
    """The published algorithm on the weights of a GPT-2."""

    def __init__(self, problem: CircuitProblem) -> None:
        self.problem, self.network = problem, problem.model.module.transformer
        self.graph = problem.graph
        self.columns = {d.name: column for column, d in enumerate(self.graph.destinations)}
        self.rows = {name: row for row, name in enumerate(self.graph.sources)}
        batch, tokens = problem.clean.shape
        self.difference = torch.zeros(batch, tokens, len(self.rows), 768)
        self.scores = torch.zeros(self.graph.shape)

    def run(self) -> Tensor:
        """Return the scores of all edges."""
        with torch.no_grad():
            self._forward(self.problem.corrupted, sign=1.0, gradients=False)
        logits = self._forward(self.problem.clean, sign=-1.0, gradients=True)
        self.problem.metric(logits).sum().backward()
        return self.scores

    def _write(self, name: str, value: Tensor, sign: float, n: int = 1) -> None:
        row = self.rows[name]
        written = value.detach() if n > 1 else value.detach()[:, :, None]
        self.difference[:, :, row : row + n] += sign * written

    def _read(self, x: Tensor, names: list[str]) -> Tensor:
        """Return copies (batch, position, n, width) for some inputs, whose gradients are contracted."""
        copies = x[:, :, None].repeat(1, 1, len(names), 1)
        columns = [self.columns[name] for name in names]
        before = self.graph.destinations[columns[0]].n_sources
        if copies.requires_grad:

            def hook(gradient: Tensor) -> None:
                product = torch.einsum("bpud,bpvd->uv", self.difference[:, :, :before], gradient)
                self.scores[:before, columns] += product

            copies.register_hook(hook)
        return copies

    def _forward(self, inputs: Tensor, *, sign: float, gradients: bool) -> Tensor:
        tokens = inputs.shape[1]
        x = self.network.wte(inputs) + self.network.wpe(torch.arange(tokens))
        x = x.detach().requires_grad_(gradients)
        self._write("input", x, sign)
        later = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)
        for layer, block in enumerate(self.network.h):
            weight, bias = (
                block.attn.c_attn.weight.view(768, 3, 12, 64),
                block.attn.c_attn.bias.view(3, 12, 64),
            )
            q, k, v = (
                torch.einsum(
                    "bphd,dhc->bphc", block.ln_1(self._read(x, self._heads(layer, letter))), weight[:, i]
                )
                + bias[i]
                for i, letter in enumerate("qkv")
            )
            scores = torch.einsum("bphc,bshc->bhps", q, k) / 8
            pattern = scores.masked_fill(later, -torch.inf).softmax(-1)
            z = torch.einsum("bhps,bshc->bphc", pattern, v)
            result = torch.einsum("bphc,hcd->bphd", z, block.attn.c_proj.weight.view(12, 64, 768))
            self._write(f"a{layer}.h0", result, sign, 12)
            x = x + result.sum(2) + block.attn.c_proj.bias
            hidden = block.mlp.c_fc(block.ln_2(self._read(x, [f"m{layer}"])[:, :, 0]))
            out = block.mlp.c_proj(block.mlp.act(hidden))
            self._write(f"m{layer}", out, sign)
            x = x + out
        final = self.network.ln_f(self._read(x, ["logits"])[:, :, 0])
        return functional.linear(final, self.problem.model.module.lm_head.weight)

    def _heads(self, layer: int, letter: str) -> list[str]:
        return [f"a{layer}.h{head}<{letter}>" for head in range(12)]


def held(which: str) -> int:
    """Return bytes from /proc/self/status: ``VmRSS`` now, ``VmHWM`` at most since the last reset."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(which):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {which} in /proc/self/status")


def measure(side: str, pairs: int, tokens: int, scores: str) -> dict[str, float]:
    """Return seconds, processor seconds and bytes of one side, and write its scores to a file."""
    problem = build(pairs, tokens)
    _ = problem.graph, problem.model.logits(problem.clean[:1])
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before, start, used = held("VmRSS"), time.perf_counter(), time.process_time()
    found = Published(problem).run() if side == "published" else eap(problem).scores
    took = {"seconds": time.perf_counter() - start, "processor": time.process_time() - used}
    took["bytes"] = held("VmHWM") - before
    torch.save(found, scores)
    return took


def profile(side: str, pairs: int, tokens: int) -> str:
    """Return the operators that one side spends its time on."""
    problem = build(pairs, tokens)
    run = Published(problem).run if side == "published" else lambda: eap(problem)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as found:
        run()
    return found.key_averages().table(sort_by="self_cpu_time_total", row_limit=12, max_name_column_width=40)


def child(side: str, options: argparse.Namespace, scores: Path) -> dict[str, float]:
    """Measure one side in a process of its own."""
    command = [sys.executable, __file__, "--side", side, "--scores", str(scores)]
    command += ["--pairs", str(options.pairs), "--tokens", str(options.tokens)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(options: argparse.Namespace) -> tuple[list[list[object]], list[float], float]:
    """Return rows of the table, the ratios of time and memory, and how far the scores are apart."""
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as folder:
        files = {side: Path(folder) / f"{side}.pt" for side in SIDES}
        for _ in range(options.rounds):
            for side in SIDES:
                found[side].append(child(side, options, files[side]))
                print(side, found[side][-1], file=sys.stderr, flush=True)
        theirs, ours = (torch.load(files[side]) for side in SIDES)
    apart = float((ours - theirs).abs().max() / theirs.abs().max())
    middle = {
        side: {key: statistics.median(r[key] for r in runs) for key in runs[0]}
        for side, runs in found.items()
    }
    rows: list[list[object]] = [
        [side, f"{m['seconds']:.2f}", f"{m['processor']:.2f}", f"{m['bytes'] / 2**20:,.0f}"]
        for side, m in middle.items()
    ]
    a, b = (middle[side] for side in SIDES)
    ratios = [a[key] / b[key] for key in ("seconds", "processor", "bytes")]
    rows.append(["published / interp_bench", *(f"{ratio:.2f}" for ratio in ratios)])
    return rows, ratios, apart


def main() -> int:
    """Print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--scores", help=argparse.SUPPRESS)
    parser.add_argument("--profile", choices=SIDES, help="print the operators of one side, and nothing else")
    parser.add_argument("--write", type=Path, help="file for the Markdown page")
    options = parser.parse_args()
    if options.profile:
        print(profile(options.profile, options.pairs, options.tokens))
        return 0
    if options.side:
        print(json.dumps(measure(options.side, options.pairs, options.tokens, options.scores)))
        return 0
    rows, ratios, apart = compare(options)
    headers = ["all-edge EAP", "seconds", "processor seconds", "peak MiB above the network"]
    table = tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)
    print(f"{table}\n\nlargest difference of scores: {apart:.1e} of the largest score")
    if options.write:
        options.write.write_text(page(options, table, apart), encoding="utf-8")
    good = apart < 1e-4 and ratios[0] >= BAR_TIME and ratios[2] >= 1 / BAR_MEMORY
    return 0 if good else 1


def page(options: argparse.Namespace, table: str, apart: float) -> str:
    """Return the Markdown page."""
    command = f"python benchmarks/eap.py --pairs {options.pairs} --tokens {options.tokens}"
    command += f" --rounds {options.rounds} --write {options.write}"
    return (
        f"# Edge attribution patching on all edges of a GPT-2 small\n\nWritten by `{command}`; do not edit "
        f"it by hand.\n\n{options.pairs} pairs of {options.tokens} tokens, one thread, medians of "
        f"{options.rounds} rounds in turn. The scores differ by at most {apart:.1e} of the largest.\n\n"
        f"{table}\n{FINDINGS}"
    )


FINDINGS = """
## Where the time goes

By ``--profile`` (torch.profiler, processor time of operators, 8 pairs of 32 tokens):

- *published*: a third is copying. Queries, keys and values of twelve heads each have a copy of the residual
  stream, so that a norm reads and writes 36 streams a layer in both directions, and ``einsum`` brings
  the operands of every contraction, the difference of all sources among them, into another order of axes.
  Logits are computed at every position of both runs.
- *interp_bench*: two thirds are matrix products of two forwards and one backward, which nobody escapes.
  Projections are differentiated once a layer; gradients at the 36 inputs are formed from them in three
  batched products, behind the norm, only while they are contracted. Sources come before destinations in
  memory, so that a contraction is one product without copies.
- Memory: what heads write is kept as what goes into their output weights, twelve times smaller, and formed
  for a few inputs at a time (``CONTRACTION_BYTES`` in ``model/edge_tape.py``); pairs run in batches whose
  activations fit a budget (``CircuitProblem.batches``, a quarter of a GiB).

Before it was measured, EAP took a third forward, which wrote down what sources write on the clean input; the
forward with gradient now does. Pulling gradients back head by head took 432 small products and as many
gathered copies of weights.
"""


if __name__ == "__main__":
    sys.exit(main())
