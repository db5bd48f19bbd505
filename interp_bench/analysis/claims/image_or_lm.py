"""Claim: techniques work better on image nets than on language models of the same size."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from interp_bench.analysis.claims.base import (
    Chart,
    Claim,
    Evidence,
    Finding,
    ModelFacts,
    Point,
    missing,
    verdict_of,
    why,
)
from interp_bench.analysis.claims.crossed import Bounds, Floats, Ints, bounds_of, wider
from interp_bench.analysis.claims.observations import observe
from interp_bench.analysis.claims.scope import counted, listed, scope_of
from interp_bench.analysis.claims.trend import LEAST_TECHNIQUES

FAMILIES: Mapping[str, str] = MappingProxyType(
    {
        "features/visual_dictionary": "features/dictionary",
        "concepts/visual_concept": "concepts/marker_concept",
        "circuits/visual_induction": "circuits/induction",
        "circuits/visual_program": "circuits/program",
        "attribution/visual_evidence": "attribution/token_evidence",
        "triggers/universal_patch": "triggers/universal_tokens",
        "triggers/class_patch": "triggers/class_tokens",
    }
)
"""Tasks on image nets, and those that plant the same mechanism in language models."""

NEAR = 0.5
"""Decades of parameters that the models of a pair may be apart."""

_UNIT = "skill, image net minus language model"
_NEEDS = (
    "three techniques with a task of one family on both sides of two pairs or more of an image net and a "
    f"language model within {NEAR:g} decades of size, from two ladders on either side"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """An image net and a language model of about the same size."""

    image: ModelFacts
    lm: ModelFacts


def pairs_of(models: Iterable[ModelFacts]) -> tuple[Pair, ...]:
    """Pair image nets with language models, each once, ``NEAR`` apart at most.

    Random weights are paired with random ones and trained with trained. Ladders that have the fewest pairs
    come first, since they count as drawn from many; among these the nearest sizes do.
    """
    models = sorted(models, key=lambda facts: (facts.params, facts.id))
    left = [
        (abs(math.log10(image.params / lm.params)), Pair(image=image, lm=lm))
        for image in models
        for lm in models
        if image.modality == "image" and lm.modality == "lm" and image.trained == lm.trained
    ]
    left = [(distance, pair) for distance, pair in left if distance <= NEAR]
    found: list[Pair] = []
    while left:
        pairs = Counter(ladder for pair in found for ladder in (pair.image.ladder, pair.lm.ladder))
        _, chosen = min(left, key=lambda one: _preference(one[0], one[1], pairs))
        found.append(chosen)
        left = [one for one in left if one[1].image != chosen.image and one[1].lm != chosen.lm]
    return tuple(sorted(found, key=lambda pair: (pair.image.params, pair.image.id)))


def _preference(distance: float, pair: Pair, pairs: Counter[str]) -> tuple[int, float, str, str]:
    return (pairs[pair.image.ladder] + pairs[pair.lm.ladder], distance, pair.image.id, pair.lm.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One technique on one family of tasks, on both models of a pair."""

    technique: str
    family: str
    pair: Pair
    value: float


def differences_of(evidence: Evidence) -> tuple[Difference, ...]:
    """Return skill on the image net minus skill on the language model, wherever both are known."""
    pairs = pairs_of(facts for facts in evidence.facts.values() if facts.axis == "size" and facts.params > 0)
    skills = {
        (one.technique, FAMILIES.get(one.task, one.task), one.model.id): one.value
        for one in observe(evidence, lambda _: True, group=lambda facts: facts.modality)
        if one.model.modality == "lm" or one.task in FAMILIES
    }
    names = sorted({(technique, family) for technique, family, _ in skills})
    return tuple(
        Difference(
            technique=technique,
            family=family,
            pair=pair,
            value=skills[technique, family, pair.image.id] - skills[technique, family, pair.lm.id],
        )
        for technique, family in names
        for pair in pairs
        if (technique, family, pair.image.id) in skills and (technique, family, pair.lm.id) in skills
    )


def mean_difference(
    values: Floats, technique: Ints, pair: Ints, image_ladder: Ints, lm_ladder: Ints
) -> tuple[Bounds, Floats]:
    """Return the mean difference over pairs with its interval, and the mean of each pair.

    Pairs, ladders of either side and techniques all count as drawn from many: the variance is the larger
    of that over pairs and the sum of those over ladders, plus that over techniques. So an architecture
    that is easy is no evidence of what its modality does.

    Args:
        values: differences, ``(..., n)``.
        technique: index of each difference's technique, ``(n,)``.
        pair: index of each difference's pair, ``(n,)``.
        image_ladder: index of the ladder of each pair's image net, ``(n_pairs,)``; two ladders or more.
        lm_ladder: the same of its language model.
    """
    n_pairs, n_techniques = len(image_ladder), int(technique.max()) + 1
    counts = np.zeros((n_techniques, n_pairs))
    np.add.at(counts, (technique, pair), 1.0)
    weight = 1.0 / (counts[technique, pair] * (counts > 0).sum(axis=0)[pair])
    member = np.eye(n_pairs)[pair]
    means = (values * weight) @ member
    effect = means.mean(axis=-1)
    rest = (means - effect[..., None]) / n_pairs
    owner = np.eye(n_techniques)[technique]
    apart = ((values - means[..., pair]) * weight / n_pairs) @ owner
    techniques = (_squares(apart), n_techniques - 1)
    image, lm = (
        (_squares(rest @ np.eye(int(ladder.max()) + 1)[ladder]), int(ladder.max()))
        for ladder in (image_ladder, lm_ladder)
    )
    pairs = (_squares(rest), n_pairs - 1)
    by_pairs = bounds_of(effect, [pairs, techniques])
    by_ladders = bounds_of(effect, [image, lm, techniques])
    return wider(by_pairs, by_ladders, image[0] + lm[0] > pairs[0]), means


def _squares(sums: Floats) -> Floats:
    """Return the variance of a total from its parts, ``(..., n)``, n of them independent."""
    n = sums.shape[-1]
    found: Floats = n / (n - 1) * (sums**2).sum(axis=-1)
    return found


def _measure(evidence: Evidence) -> Finding:
    found = differences_of(evidence)
    pairs = sorted({one.pair for one in found}, key=lambda pair: (pair.image.params, pair.image.id))
    techniques = sorted({one.technique for one in found})
    images, lms = sorted({p.image.ladder for p in pairs}), sorted({p.lm.ladder for p in pairs})
    if min(len(images), len(lms)) < 2 or len(techniques) < LEAST_TECHNIQUES:
        return missing(_UNIT, "pairs", _lacking(pairs, techniques))
    bounds, means = mean_difference(
        np.array([one.value for one in found]),
        np.array([techniques.index(one.technique) for one in found]),
        np.array([pairs.index(one.pair) for one in found]),
        np.array([images.index(pair.image.ladder) for pair in pairs]),
        np.array([lms.index(pair.lm.ladder) for pair in pairs]),
    )
    low, high = float(bounds.low), float(bounds.high)
    verdict = verdict_of(low, high)
    return Finding(
        verdict=verdict,
        effect=float(bounds.effect),
        low=low,
        high=high,
        unit=_UNIT,
        n=len(pairs),
        n_of="pairs",
        scope=scope_of(
            techniques,
            (one.family for one in found),
            [facts for pair in pairs for facts in (pair.image, pair.lm)],
        ),
        reason=why(verdict),
        chart=_chart(pairs, means),
    )


def _lacking(pairs: Sequence[Pair], techniques: Sequence[str]) -> str:
    if not pairs:
        return f"needs {_NEEDS}; there are none"
    named = ", ".join(f"{pair.image.id} with {pair.lm.id}" for pair in pairs)
    ladders = listed({pair.lm.ladder for pair in pairs})
    have = f"{counted(len(techniques), 'technique')} on {named}; their language models are of {ladders}"
    return f"needs {_NEEDS}; there are {have}"


def _chart(pairs: Sequence[Pair], means: Floats) -> Chart:
    return Chart(
        x_title="parameters of the image net",
        y_title=_UNIT,
        x_log=True,
        points=tuple(
            Point(
                x=float(pair.image.params),
                y=float(mean),
                group=pair.image.ladder,
                label=f"{pair.image.id} - {pair.lm.id}",
            )
            for pair, mean in zip(pairs, means, strict=True)
        ),
    )


IMAGES_BETTER = Claim(
    name="images-better-than-lms",
    statement="Techniques work better on image nets than on language models of the same size.",
    statistic="mean difference of skill in pairs of an image net and a language model of about the same "
    "size, each technique on tasks of the same family; pairs, ladders and techniques all count as drawn "
    "from many",
    bounds="supported if the 95% interval of the difference lies above 0, against if it lies below",
    needs=_NEEDS,
    measure=_measure,
)
