"""Answers as bytes and back: numbers, text and tensors only, so that reading one never runs foreign code."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from interp_bench.errors import ContractError

MOST_BYTES = 1 << 30
"""The largest answer that is taken, in bytes."""

_DEEPEST = 8
_LONGEST_HEADER = 1 << 24
_LENGTH = struct.Struct("<Q")
_DTYPES = {
    str(dtype): dtype
    for dtype in vars(torch).values()
    if isinstance(dtype, torch.dtype) and not str(dtype).startswith(("torch.q", "torch.bits"))
}


def encode(answer: object, answer_type: Any) -> bytes:
    """Return an answer as bytes; of another object than an answer, only what it was.

    Args:
        answer: what a technique returned.
        answer_type: the dataclass of answers of its track.

    Raises:
        ContractError: the answer is too large, or holds something that is no number, text or tensor.
    """
    if not isinstance(answer, answer_type):
        return _packed({"wrong": type(answer).__name__}, [])
    tensors: list[Tensor] = []
    shown = {
        field.name: _tree(getattr(answer, field.name), f"{answer_type.__name__}.{field.name}", tensors, 0)
        for field in fields(answer_type)
    }
    return _packed({"fields": shown, "tensors": [_described(t) for t in tensors]}, tensors)


def decode(data: bytes, answer_type: type, device: torch.device | str = "cpu") -> object:
    """Return the answer of these bytes.

    What was no answer comes back as an object of a class of the same name, which grading refuses.

    Args:
        data: from `encode`, though it may have been forged.
        answer_type: the dataclass of answers of the track.
        device: where tensors go.

    Raises:
        ContractError: the bytes are no answer of this type.
    """
    try:
        (length,) = _LENGTH.unpack_from(data)
        if length > _LONGEST_HEADER:
            raise ValueError("its header is too long")
        header = json.loads(data[_LENGTH.size : _LENGTH.size + length])
        if "wrong" in header:
            return type(str(header["wrong"])[:100], (), {})()
        tensors = _tensors(memoryview(data)[_LENGTH.size + length :], header["tensors"], device)
        given = {str(name): _value(part, tensors, 0) for name, part in header["fields"].items()}
        return answer_type(**given)
    except (
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        ArithmeticError,
        RuntimeError,
        struct.error,
    ) as error:
        text = " ".join(str(error).split())
        raise ContractError(f"the answer arrived damaged ({type(error).__name__}: {text})") from error


def _packed(header: dict[str, Any], tensors: list[Tensor]) -> bytes:
    text = json.dumps(header).encode()
    if len(text) > _LONGEST_HEADER:
        raise ContractError(f"the answer holds {len(text):,} bytes beside its tensors; give tensors")
    return b"".join([_LENGTH.pack(len(text)), text, *(_bytes(tensor) for tensor in tensors)])


def _tree(value: object, where: str, tensors: list[Tensor], depth: int) -> dict[str, Any]:
    if depth > _DEEPEST:
        raise ContractError(f"{where} is nested deeper than {_DEEPEST}")
    if isinstance(value, Tensor):
        tensors.append(_plain(value, where, tensors))
        return {"tensor": len(tensors) - 1}
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return {"value": _scalar(value)}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_tree(part, f"{where}[{i}]", tensors, depth + 1) for i, part in enumerate(value)]}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {"dict": {k: _tree(part, f"{where}[{k!r}]", tensors, depth + 1) for k, part in value.items()}}
    what = "dataclass " if is_dataclass(value) else ""
    raise ContractError(
        f"{where} holds a {what}{type(value).__name__}; give a torch.Tensor, a number or text"
    )


def _scalar(value: bool | int | float | str | None) -> bool | int | float | str | None:
    # Subclasses of numbers and text become what they are a kind of.
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return None


def _plain(tensor: Tensor, where: str, others: list[Tensor]) -> Tensor:
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type == "meta":
        raise ContractError(f"{where} is no ordinary tensor with values (layout {tensor.layout})")
    # An expanded tensor can be of any size without taking memory, until it is copied.
    size = sum(t.numel() * t.element_size() for t in (*others, tensor))
    if size > MOST_BYTES:
        raise ContractError(
            f"the answer takes {size / 2**30:.3g} GiB with {where}; "
            f"at most {MOST_BYTES / 2**30:.3g} are taken"
        )
    plain = tensor.detach().resolve_conj().resolve_neg().contiguous()
    return plain.as_subclass(Tensor)


def _described(tensor: Tensor) -> dict[str, Any]:
    return {"dtype": str(tensor.dtype), "shape": list(tensor.shape)}


def _bytes(tensor: Tensor) -> bytes:
    if tensor.numel() == 0:
        return b""
    return tensor.reshape(-1).view(torch.uint8).cpu().numpy().tobytes()


def _tensors(data: memoryview, described: list[dict[str, Any]], device: torch.device | str) -> list[Tensor]:
    found, start = [], 0
    for part in described:
        dtype, shape = _DTYPES[part["dtype"]], [int(size) for size in part["shape"]]
        if any(size < 0 for size in shape):
            raise ValueError("a size is negative")
        count = math.prod(shape)
        size = count * dtype.itemsize
        raw = bytearray(data[start : start + size])
        if len(raw) != size:
            raise ValueError("a tensor is cut off")
        flat = torch.frombuffer(raw, dtype=torch.uint8).view(dtype) if size else torch.empty(0, dtype=dtype)
        found.append(flat.reshape(shape).to(device))
        start += size
    return found


def _value(part: dict[str, Any], tensors: list[Tensor], depth: int) -> Any:
    if depth > _DEEPEST:
        raise ValueError("it is nested too deeply")
    ((kind, inner),) = part.items()
    match kind:
        case "tensor":
            return tensors[int(inner)]
        case "value" if inner is None or isinstance(inner, bool | int | float | str):
            if isinstance(inner, str):
                inner.encode()  # half of a pair of surrogates can be neither stored nor printed
            return inner
        case "list":
            return [_value(one, tensors, depth + 1) for one in inner]
        case "tuple":
            return tuple(_value(one, tensors, depth + 1) for one in inner)
        case "dict":
            return {str(key): _value(one, tensors, depth + 1) for key, one in inner.items()}
    raise ValueError(f"it holds {kind!r}")
