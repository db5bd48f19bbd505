"""The models that interp_bench knows: rows of models.yaml, their ladders, and how to open them."""

from interp_bench.registry.availability import availability
from interp_bench.registry.count import count_parameters
from interp_bench.registry.fetch import fetch
from interp_bench.registry.load import Registry, load_registry
from interp_bench.registry.opening import open_module
from interp_bench.registry.spec import Capability, Ladder, ModelSpec

__all__ = [
    "Capability",
    "Ladder",
    "ModelSpec",
    "Registry",
    "availability",
    "count_parameters",
    "fetch",
    "load_registry",
    "open_module",
]
