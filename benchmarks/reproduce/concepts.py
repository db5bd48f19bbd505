"""Is distributed alignment search better than a mask over neurons, and that than all neurons? MIB found so.

Mueller et al. 2025 (MIB) compare ways to find the subspace of a causal variable by interchange accuracy. Here
the variables are planted, in transformers and convolutional networks, and the truth is known; the accuracy is
that of the concepts track, which asks of an interchange that the source's value is taken and that the other
variable is kept.

All that is trained here has the same loss (cause and isolation, as counterfactual labels of a whole output
have both), the same number of steps, and one site, chosen by the same rule. DAS is measured from both starts:
what a probe reads, as this package does, and a random rotation as in its paper. All neurons take the source's
value always; that they come last is due to the other variable, which they take too.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from interp_bench.tracks.concepts import TRACK

from .orderings import Ordering
from .plants import certified, technique
from .sections import Job, Measured, Section, scores

CELLS = (
    ("marker_concept", "native-30k"),
    ("decoy_concept", "native-30k"),
    ("visual_concept", "convnext-slim-20k"),
    ("visual_concept", "vit-slim-200k"),
    ("rotated_concept", "vit-slim-200k"),
)
TRAINED = MappingProxyType({"steps": 100, "sites": 1, "isolation": 1.0})
BRIEF_STEPS = 4
RANDOM_DAS = "das from a random start"
ROWS: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "das": ("das", TRAINED),
        RANDOM_DAS: ("das", {**TRAINED, "start": "random"}),
        "binary_mask": ("binary_mask", TRAINED),
        "binary_mask_pca": ("binary_mask_pca", TRAINED),
        "binary_mask_autoencoder": ("binary_mask_autoencoder", TRAINED),
        "full_vector": ("full_vector", {}),
    }
)
METRIC = "interchange_accuracy"


def measure(job: Job) -> list[Measured]:
    """Score every technique on the concepts of one task and network."""
    task, host = job.cell
    found: list[Measured] = []
    for seed, planted in certified(f"concepts/{task}", host, job.seeds):
        for label, (name, arguments) in ROWS.items():
            given = {**arguments, "steps": BRIEF_STEPS} if job.brief and arguments else arguments
            begun = time.process_time()
            answer = technique(f"concepts/{name}").function(planted.problem, **given)
            seconds = time.process_time() - begun
            graded = TRACK.score(planted.problem, planted.truth, answer)
            cell = {f"{task} in {host}": graded[METRIC]}
            about = {"dimensions": len(answer.basis), "seconds": seconds}
            kept = {metric: graded[metric] for metric in (METRIC, "cause", "isolate")}
            found += scores(label, str(seed), {**kept, **about, **cell}.items())
    return found


_SPREAD = (
    "On single tasks one is far ahead or the other, by the network: principal components on the decoy "
    "concept of the LM, latents in vision transformers; the mean over tasks decides nothing."
)


def _better(first: str, second: str, published: str, explained: str = "") -> Ordering:
    return Ordering(
        metric=METRIC, first=first, second=second, relation=">", published=published, explained=explained
    )


SECTION = Section(
    name="concepts",
    title="Subspaces of planted causal variables",
    source="Mueller et al. 2025 (MIB), causal variable track, Gemma-2-2B, ARC-E answer, mean over layers",
    scale="Here variables are planted in networks of 20 to 200 thousand parameters, and accuracy asks too "
    "that the other variable is kept.",
    unit="seed, as the mean over tasks and networks",
    cells=CELLS,
    brief_cells=1,
    seeds=4,
    measure=measure,
    metrics=(
        ("", (METRIC, "cause", "isolate", "dimensions", "seconds")),
        ("Interchange accuracy by task and network:", tuple(f"{task} in {host}" for task, host in CELLS)),
    ),
    statements=(
        _better("das", "binary_mask", "0.88, 0.82"),
        _better(RANDOM_DAS, "binary_mask", "0.88, 0.82"),
        _better("binary_mask", "full_vector", "0.82, 0.63"),
        _better("das", "full_vector", "0.88, 0.63"),
        _better("binary_mask", "binary_mask_pca", "0.82, 0.78"),
        _better("binary_mask_pca", "binary_mask_autoencoder", "0.78, 0.70", _SPREAD),
        _better("binary_mask_autoencoder", "full_vector", "0.70, 0.63"),
    ),
    techniques=tuple(sorted({f"concepts/{name}" for name, _ in ROWS.values()})),
)
