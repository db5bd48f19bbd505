"""Exact parameter counts on the meta device: no weights are allocated, whatever the size."""

from __future__ import annotations

from interp_bench.registry.spec import ModelSpec


def count_parameters(spec: ModelSpec) -> int:
    """Return the number of parameters that ``spec`` describes, tied matrices counted once.

    Raises:
        RegistryError: if the row names an architecture that does not exist.
    """
    source = spec.source
    if source.kind == "native":
        from interp_bench.registry.native import meta_native

        return sum(p.numel() for p in meta_native(source).parameters())
    if source.kind == "timm":
        from interp_bench.registry.timm_source import meta_timm

        return sum(p.numel() for p in meta_timm(source).parameters())
    from interp_bench.registry.transformers_source import meta_model

    return sum(p.numel() for p in meta_model(source.config).parameters())
