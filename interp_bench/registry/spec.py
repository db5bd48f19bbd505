"""A model's row in models.yaml, and the ladder that it stands on."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from interp_bench.registry.sources import STRICT, Misplaced, Source

Modality = Literal["lm", "image"]
Tier = Literal["quick", "standard", "full"]
Kind = Literal[
    "native", "gpt2", "llama", "qwen2", "neox",
    "vit", "eva", "resnet", "convnext", "regnet", "efficientnet",
]  # fmt: skip
Axis = Literal["size", "training"]
Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]

_OPENING_RECIPE = 1  # raised when opening gives other weights for the same source, so that trials rerun
_BYTES = {"float32": 4, "bfloat16": 2}
_KIND_OF_TYPE = {"gpt2": "gpt2", "llama": "llama", "qwen2": "qwen2", "gpt_neox": "neox"}
_IMAGE_KINDS = frozenset({"vit", "eva", "resnet", "convnext", "regnet", "efficientnet"})


class Capability(BaseModel):
    """A published measure of what the model can do.

    Attributes:
        metric: what was measured, e.g. ``imagenet-1k top-1``.
        value: the figure as published, percentages and accuracies as fractions of one.
        source: where it is published.
    """

    model_config = STRICT
    metric: str = Field(min_length=3)
    value: float
    source: str = Field(min_length=8)


class Ladder(BaseModel):
    """A line of models that differ in one thing, from small to large or from early to late.

    Attributes:
        name: its name.
        modality: ``lm`` or ``image``; all of its models share it.
        axis: what differs: ``size`` or ``training``.
        about: one sentence.
    """

    model_config = STRICT
    name: Id
    modality: Modality
    axis: Axis = "size"
    about: str = Field(min_length=10)


class ModelSpec(BaseModel):
    """One model: what it is, where its weights come from, and what it needs.

    Attributes:
        id: unique name on the command line and in results.
        modality: ``lm`` or ``image``.
        kind: architecture kind, by which planting finds its parts.
        ladder: name of the ladder that it stands on.
        source: where the weights come from.
        params: exact number of parameters as published; tied embeddings count once.
        capability: a published measure, absent where none is.
        license: of the weights (random weights: of the code that makes them).
        memory_gb: memory for a forward and a backward pass in ``dtype``, in GiB.
        dtype: the number format in which the model fits ``memory_gb``.
        tier: the smallest tier that runs it.
        notes: anything else worth knowing.
    """

    model_config = STRICT
    id: Id
    modality: Modality
    kind: Kind
    ladder: Id
    source: Source
    params: int = Field(gt=0)
    capability: Capability | None = None
    license: str = Field(min_length=2)
    memory_gb: float = Field(gt=0)
    dtype: Literal["float32", "bfloat16"] = "float32"
    tier: Tier
    notes: str = ""

    def __hash__(self) -> int:
        """Hash by name and weights."""
        return hash((self.id, self.revision))

    @property
    def revision(self) -> str:
        """Content string that changes whenever the weights would."""
        text = json.dumps([_OPENING_RECIPE, self.source.model_dump()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def random(self) -> bool:
        """Whether the weights are drawn from a seed and so need no download."""
        source = self.source
        if source.kind == "timm":
            return not source.pretrained and source.file is None
        return source.kind == "native" or (source.kind == "transformers" and source.seed is not None)

    @model_validator(mode="after")
    def _is_possible(self) -> ModelSpec:
        source = self.source
        if (self.kind in _IMAGE_KINDS) != (self.modality == "image"):
            raise Misplaced(f"kind {self.kind!r} is not a kind of {self.modality} model", "kind")
        if (source.kind == "timm") != (self.modality == "image"):
            raise Misplaced(f"source {source.kind!r} does not give {self.modality} models", "source")
        if source.kind == "native" and self.kind != "native":
            raise Misplaced(f"a native source gives kind 'native', not {self.kind!r}", "kind")
        if source.kind in ("transformers", "gguf"):
            right = _KIND_OF_TYPE[source.config["model_type"]]
            if right != self.kind:
                raise Misplaced(f"its model_type gives kind {right!r}, not {self.kind!r}", "kind")
        least = self.params * _BYTES[self.dtype] / 2**30
        if self.memory_gb < least:
            raise Misplaced(
                f"memory_gb {self.memory_gb:g} is too small: {self.params:,} parameters take "
                f"{least:.2g} GiB in {self.dtype}",
                "memory_gb",
            )
        return self
