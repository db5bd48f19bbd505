"""interp_bench: on which models does an interpretability technique work?

Everything that a contributor needs is exported here. Names are resolved when they are first used,
so that importing the package alone stays fast and does not load torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from interp_bench.errors import ContractError as ContractError
    from interp_bench.errors import Inapplicable as Inapplicable
    from interp_bench.errors import InterpBenchError as InterpBenchError
    from interp_bench.errors import PlantingError as PlantingError
    from interp_bench.model.handle import Model as Model
    from interp_bench.model.opening import open_model as open_model
    from interp_bench.planting.certificate import Certificate as Certificate
    from interp_bench.planting.certificate import Check as Check
    from interp_bench.registry import ModelSpec as ModelSpec
    from interp_bench.registry import load_registry as load_registry
    from interp_bench.tracks.attribution import AttributionProblem as AttributionProblem
    from interp_bench.tracks.attribution import AttributionTruth as AttributionTruth
    from interp_bench.tracks.attribution import Saliency as Saliency
    from interp_bench.tracks.base import Metric as Metric
    from interp_bench.tracks.base import Planted as Planted
    from interp_bench.tracks.base import Problem as Problem
    from interp_bench.tracks.base import Track as Track
    from interp_bench.tracks.catalogue import Needs as Needs
    from interp_bench.tracks.catalogue import task as task
    from interp_bench.tracks.catalogue import technique as technique
    from interp_bench.tracks.circuits import CircuitProblem as CircuitProblem
    from interp_bench.tracks.circuits import CircuitTruth as CircuitTruth
    from interp_bench.tracks.circuits import EdgeScores as EdgeScores
    from interp_bench.tracks.concepts import ConceptProblem as ConceptProblem
    from interp_bench.tracks.concepts import ConceptTruth as ConceptTruth
    from interp_bench.tracks.concepts import Subspace as Subspace
    from interp_bench.tracks.features import Dictionary as Dictionary
    from interp_bench.tracks.features import FeatureProblem as FeatureProblem
    from interp_bench.tracks.features import FeatureTruth as FeatureTruth
    from interp_bench.tracks.triggers import Trigger as Trigger
    from interp_bench.tracks.triggers import TriggerProblem as TriggerProblem
    from interp_bench.tracks.triggers import TriggerTruth as TriggerTruth

__version__ = "0.1.0"

_HOMES = {
    "errors": ("ContractError", "Inapplicable", "InterpBenchError", "PlantingError"),
    "model.handle": ("Model",),
    "model.opening": ("open_model",),
    "planting.certificate": ("Certificate", "Check"),
    "registry": ("ModelSpec", "load_registry"),
    "tracks.attribution": ("AttributionProblem", "AttributionTruth", "Saliency"),
    "tracks.base": ("Metric", "Planted", "Problem", "Track"),
    "tracks.catalogue": ("Needs", "task", "technique"),
    "tracks.circuits": ("CircuitProblem", "CircuitTruth", "EdgeScores"),
    "tracks.concepts": ("ConceptProblem", "ConceptTruth", "Subspace"),
    "tracks.features": ("Dictionary", "FeatureProblem", "FeatureTruth"),
    "tracks.triggers": ("Trigger", "TriggerProblem", "TriggerTruth"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AttributionProblem",
    "AttributionTruth",
    "Certificate",
    "Check",
    "CircuitProblem",
    "CircuitTruth",
    "ConceptProblem",
    "ConceptTruth",
    "ContractError",
    "Dictionary",
    "EdgeScores",
    "FeatureProblem",
    "FeatureTruth",
    "Inapplicable",
    "InterpBenchError",
    "Metric",
    "Model",
    "ModelSpec",
    "Needs",
    "Planted",
    "PlantingError",
    "Problem",
    "Saliency",
    "Subspace",
    "Track",
    "Trigger",
    "TriggerProblem",
    "TriggerTruth",
    "load_registry",
    "open_model",
    "task",
    "technique",
]


def __getattr__(name: str) -> Any:
    """Import an exported name from its home when it is first used."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'interp_bench' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"interp_bench.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the exported names."""
    return sorted([*globals(), *__all__])
