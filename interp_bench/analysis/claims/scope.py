"""On what a finding rests, in words that come from the data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from interp_bench.analysis.claims.base import ModelFacts

MODALITIES = {"lm": "language models", "image": "image nets"}


def counted(count: int, noun: str) -> str:
    """Return e.g. ``1 model``, ``2 models``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def listed(names: Iterable[str]) -> str:
    """Return ``a``, ``a and b``, ``a, b and c``."""
    *first, last = sorted(names)
    return f"{', '.join(first)} and {last}" if first else last


def scope_of(techniques: Iterable[str], tasks: Iterable[str], models: Sequence[ModelFacts]) -> str:
    """Return a sentence without its full stop on what was compared.

    Args:
        techniques: ``track/technique`` of each.
        tasks: ``track/task`` of each.
        models: at least one.
    """
    techniques, tasks = sorted(set(techniques)), sorted(set(tasks))
    tracks = {name.partition("/")[0] for name in techniques}
    return (
        f"{counted(len(techniques), 'technique')} on {counted(len(tasks), 'task')} of {listed(tracks)}; "
        f"{models_of(models)}"
    )


def models_of(models: Sequence[ModelFacts]) -> str:
    """Return e.g. ``4 language models, native-30k to native-5m, of ladder native-ln, random weights``."""
    models = sorted(set(models), key=lambda facts: (facts.params, facts.id))
    kinds = listed({MODALITIES.get(facts.modality, facts.modality) for facts in models})
    ladders = {facts.ladder for facts in models if facts.ladder}
    span = models[0].id if len(models) == 1 else f"{models[0].id} to {models[-1].id}"
    parts = [f"{len(models)} {kinds}, {span}"]
    if ladders:
        parts.append(f"of the {'ladder' if len(ladders) == 1 else 'ladders'} {listed(ladders)}")
    return f"{' '.join(parts)}{_weights({facts.trained for facts in models})}"


def _weights(trained: set[bool | None]) -> str:
    """Return where weights come from, or nothing where that is not known of every model."""
    if None in trained:
        return ""
    kinds = [name for known, name in ((False, "random"), (True, "trained")) if known in trained]
    return f", {' and '.join(kinds)} weights"
