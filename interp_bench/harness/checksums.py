"""Checksums of weights and of a problem's tensors, fast enough to take around every call."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

_KEYED_BYTES = 1 << 20
_SAMPLES = 4096


def checksum(tensor: Tensor) -> tuple[object, ...]:
    """Return shape, dtype and a checksum of the bytes that any single changed element alters.

    Up to 1 MiB a product of all 64-bit words with odd random keys, modulo 2**64, which sees each element
    and their order (multilinear hashing: Lemire and Kaser 2014, "Strongly universal string hashing is
    fast"). Above, the sum of the words, which sees each element, with a CRC-32 of 4,096 evenly spaced
    ones, which sees their order.
    """
    flat = tensor.detach().contiguous().reshape(-1)
    shape = (tuple(tensor.shape), str(tensor.dtype))
    size = flat.numel() * flat.element_size()
    if size == 0:
        return shape
    raw = flat.view(torch.uint8)
    whole = size - size % 8
    if size <= _KEYED_BYTES:
        seen = raw.cpu().numpy()
        words = seen[:whole].view(np.int64)
        return (*shape, int(words @ _keys()[: len(words)]), seen[whole:].tobytes())
    if raw.storage_offset() % 8:
        raw = raw.clone()
    many = raw[:whole].view(torch.int64)
    sample = many[:: max(1, len(many) // _SAMPLES)]
    rest = bytes(raw[whole:].tolist())
    return (*shape, int(many.sum()), zlib.crc32(sample.cpu().numpy().tobytes() + rest))


@cache
def _keys() -> NDArray[np.int64]:
    """Return odd 64-bit keys, the same in every process: an odd one lets no difference of a word vanish."""
    keys = np.random.default_rng(0).integers(
        -(2**63), 2**63 - 1, _KEYED_BYTES // 8, dtype=np.int64, endpoint=True
    )
    return keys | 1


def fingerprint(module: nn.Module) -> dict[str, tuple[object, ...]]:
    """Return the checksum of every parameter and buffer, by name."""
    return {name: checksum(tensor) for name, tensor in weights(module)}


def weights(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield every parameter and buffer with its name; tied ones once."""
    yield from module.named_parameters()
    yield from module.named_buffers()


def tensors_of(value: object, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors that a problem holds in its fields, lists, tuples and dicts, with their path."""
    for path, part in _parts_of(value, name):
        if isinstance(part, Tensor):
            yield path, part


def plain_values_of(value: object, name: str = "") -> Iterator[tuple[str, object]]:
    """Yield the numbers and texts that a problem holds in the same places, with their path."""
    for path, part in _parts_of(value, name):
        if part is None or isinstance(part, bool | int | float | complex | str | bytes):
            yield path, (type(part), part)


def _parts_of(value: object, name: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _parts_of(part, f"{name}[{key!r}]")
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from _parts_of(part, f"{name}[{index}]")
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            path = f"{name}.{field.name}" if name else field.name
            yield from _parts_of(getattr(value, field.name), path)
    else:
        yield name, value
