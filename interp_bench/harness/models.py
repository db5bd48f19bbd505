"""Where the models of a run come from: the registry, unless something else is put in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from interp_bench.model.handle import Model
    from interp_bench.registry.load import Registry
    from interp_bench.registry.spec import ModelSpec


class Models:
    """The rows of models.yaml, opened behind the one handle.

    Libraries that open models are imported when the first one is opened, not before.
    """

    def registry(self) -> Registry:
        """Return all models.

        Raises:
            RegistryError: models.yaml is malformed.
        """
        from interp_bench.registry import load_registry

        return load_registry()

    def unavailable(self, spec: ModelSpec) -> str | None:
        """Return why a model cannot be opened on this machine, or None when it can."""
        from interp_bench.registry import availability

        return availability(spec)

    def libraries(self, spec: ModelSpec) -> tuple[str, ...]:
        """Return the modules that opening a model imports for seconds."""
        from interp_bench.registry.opening import LIBRARIES

        return LIBRARIES[spec.source.kind]

    def open(self, spec: ModelSpec, device: str) -> Model:
        """Open a model in the number format of its row.

        Raises:
            UnavailableError: its weights are not on this machine.
        """
        import torch

        from interp_bench.model.opening import open_model

        return open_model(spec, device, getattr(torch, spec.dtype))


MODELS = Models()
"""What a run takes its models from."""
