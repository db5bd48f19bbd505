"""Answers travel as numbers, text and tensors; nothing else gets through, forged bytes neither."""

from __future__ import annotations

import dataclasses
import json
import struct
from typing import Any

import numpy as np
import pytest
import torch

from interp_bench.errors import ContractError
from interp_bench.harness.isolation.answers import decode, encode


@dataclasses.dataclass(frozen=True)
class Answer:
    values: Any
    extra: Any = None


def travelled(values: Any, extra: Any = None) -> Answer:
    found = decode(encode(Answer(values, extra), Answer), Answer)
    assert isinstance(found, Answer)
    return found


@pytest.mark.parametrize(
    "tensor",
    [
        torch.randn(3, 4),
        torch.randn(3, 4).T,
        torch.randn(2, 3, dtype=torch.float64)[:, 1:],
        torch.randn(5).bfloat16(),
        torch.tensor(3.5),
        torch.zeros(0, 4),
        torch.tensor([True, False]),
        torch.arange(4),
        torch.tensor([1 + 2j]).conj(),
        torch.tensor([float("nan"), float("inf"), -0.0]),
    ],
    ids=lambda tensor: f"{tensor.dtype}{list(tensor.shape)}",
)
def test_tensors_arrive_bit_by_bit(tensor: torch.Tensor) -> None:
    found = travelled(tensor).values
    assert (found.dtype, found.shape) == (tensor.dtype, tensor.shape)
    assert torch.equal(torch.nan_to_num(found, 7.0), torch.nan_to_num(tensor.resolve_conj(), 7.0))


def test_plain_values_and_nests_arrive_as_they_were() -> None:
    weight = torch.ones(2, requires_grad=True)
    found = travelled([weight, (1, 0.1, "text", None, True)], {"a": np.float32(0.5), "b": np.int64(3)})
    assert found.values[1] == (1, 0.1, "text", None, True)
    assert found.extra == {"a": 0.5, "b": 3}
    assert not found.values[0].requires_grad
    with torch.no_grad():
        weight.zero_()
    assert found.values[0].tolist() == [1, 1]  # it outlasts the weights that it was read from


def test_what_is_no_answer_arrives_by_its_name() -> None:
    for wrong, name in ((None, "NoneType"), ([1], "list"), (torch.ones(1), "Tensor")):
        assert type(decode(encode(wrong, Answer), Answer)).__name__ == name


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda: 1, "Answer.values holds a function; give a torch.Tensor, a number or text"),
        (np.ones(3), "Answer.values holds a ndarray"),
        (Answer(1), "Answer.values holds a dataclass Answer"),
        ([torch.eye(2).to_sparse()], r"Answer.values\[0\] is no ordinary tensor"),
        (torch.empty(2, device="meta"), "Answer.values is no ordinary tensor"),
        (torch.zeros(1).expand(1 << 40), "the answer takes 4.1e\\+03 GiB with Answer.values; at most 1 are"),
        ({1: 2}, "Answer.values holds a dict"),
        ("x" * (1 << 25), "bytes beside its tensors"),
    ],
    ids=["function", "array", "dataclass", "sparse", "meta", "huge", "keys", "text"],
)
def test_what_cannot_travel_is_named(value: Any, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        encode(Answer(value), Answer)


def test_a_nest_without_end_is_refused() -> None:
    nest: list[Any] = []
    nest.append(nest)
    with pytest.raises(ContractError, match="nested deeper than 8"):
        encode(Answer(nest), Answer)


def _forged(header: Any, tail: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + tail


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 8,
        b"\xff" * 64,
        _forged([]),
        _forged({"fields": {}, "tensors": []}),
        _forged({"fields": {"values": {"value": 1}, "other": {"value": 1}}, "tensors": []}),
        _forged({"fields": {"values": {"tensor": 3}}, "tensors": []}),
        _forged({"fields": {"values": {"pickle": "x"}}, "tensors": []}),
        _forged({"fields": {"values": {"value": [1]}}, "tensors": []}),
        _forged({"fields": {"values": {"tensor": 0}}, "tensors": [{"dtype": "torch.float32", "shape": [9]}]}),
        _forged({"fields": {"values": {"tensor": 0}}, "tensors": [{"dtype": "os.system", "shape": [1]}]}),
        _forged({"fields": {"values": {"tensor": 0}}, "tensors": [{"dtype": "torch.bool", "shape": [-1]}]}),
        _forged(
            {"fields": {"values": {"tensor": 0}}, "tensors": [{"dtype": "torch.int8", "shape": [10**18]}]}
        ),
    ],
    ids=range(13),
)
def test_forged_bytes_are_one_line(data: bytes) -> None:
    with pytest.raises(ContractError, match="the answer arrived damaged"):
        decode(data, Answer)
