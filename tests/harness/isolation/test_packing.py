"""Problems travel by shared memory: the same values, tied where they were tied, and no way back."""

from __future__ import annotations

import mmap
import os
import pickle
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from interp_bench.harness.isolation.packing import Home, Segment, file_of, mapped, pack, unpack


@dataclass(frozen=True)
class Thing:
    module: nn.Module
    tensors: tuple[torch.Tensor, ...]


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(5, 3)
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("count", torch.arange(4))
        self.requires_grad_(False)


def travelled(value: Any, home: Home | None = None) -> Any:
    parcel = pack(value, home)
    found = unpack([mapped(segment.descriptor) for segment in parcel.segments], device=False)
    parcel.close()
    return found


def test_values_ties_views_and_flags_arrive() -> None:
    module = Tied()
    whole = torch.randn(4, 6)
    leaf = torch.ones(2, requires_grad=True)
    tensors = (whole, whole[1:3, ::2], whole.T, leaf, torch.zeros(0, 3), torch.tensor(2.5).bfloat16())
    found = travelled(Thing(module, tensors))
    assert found.module.head.weight is found.module.embed.weight
    assert isinstance(found.module.head.weight, nn.Parameter)
    assert not found.module.head.weight.requires_grad
    assert found.tensors[3].requires_grad
    for was, now in zip(tensors, found.tensors, strict=True):
        assert torch.equal(was, now)
        assert (was.dtype, was.stride()) == (now.dtype, now.stride())
    with torch.no_grad():
        found.tensors[0][1, 0] = 7.0
    assert found.tensors[1][0, 0] == found.tensors[2][0, 1] == 7.0  # still views of one memory
    assert whole[1, 0] != 7.0


@pytest.mark.parametrize("at_home", [False, True])
def test_what_is_written_to_a_copy_is_seen_by_nobody_else(at_home: bool) -> None:
    module = nn.Linear(3, 3)
    before = module.weight.detach().clone()
    home = Home.of(module) if at_home else None
    parcel = pack(Thing(module, ()), home)
    maps = [[mapped(segment.descriptor) for segment in parcel.segments] for _ in range(2)]
    one, other = (unpack(each, device=False) for each in maps)
    with torch.no_grad():
        one.module.weight.zero_()
    assert torch.equal(module.weight, before)
    assert torch.equal(other.module.weight, before)


def test_weights_at_home_are_the_same_and_are_not_copied_again() -> None:
    module = Tied()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    weight = module.embed.weight
    home = Home.of(module)
    assert module.embed.weight is weight is module.head.weight
    assert all(torch.equal(module.state_dict()[name], value) for name, value in before.items())
    parcel = pack(Thing(module, ()), home)
    assert parcel.segments[1].size == 1  # nothing beside the home
    assert parcel.segments[2] is home.segment
    with torch.no_grad():
        module.embed.weight.add_(1)  # planting goes on in place
    found = unpack([mapped(segment.descriptor) for segment in parcel.segments], device=False)
    assert torch.equal(found.module.embed.weight, before["embed.weight"] + 1)


def test_shared_memory_is_aligned_as_torch_aligns_its_own() -> None:
    module = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 1))
    Home.of(module)
    assert {parameter.data_ptr() % 64 for parameter in module.parameters()} == {0}
    found = travelled(Thing(module, (torch.ones(3), torch.ones(5))))
    assert {tensor.data_ptr() % 64 for tensor in found.tensors} == {0}


def test_nobody_who_gets_the_descriptor_can_write_to_it() -> None:
    segment = Segment("test", 8)
    segment.memory[:4] = b"mine"
    with pytest.raises(PermissionError):
        os.write(segment.descriptor, b"ours")
    with pytest.raises(PermissionError):
        mmap.mmap(segment.descriptor, 8)
    with pytest.raises(PermissionError):
        os.ftruncate(segment.descriptor, 0)
    again = os.open(f"/proc/self/fd/{segment.descriptor}", os.O_RDWR)
    with pytest.raises(PermissionError):
        os.write(again, b"ours")
    os.close(again)
    assert segment.memory[:4] == b"mine"
    segment.close()


def test_what_cannot_be_pickled_says_so() -> None:
    with pytest.raises((AttributeError, pickle.PicklingError), match="lambda"):
        pack([lambda: 1])
    with pytest.raises(pickle.PicklingError, match=r"layout torch\.sparse_coo"):
        pack(torch.eye(2).to_sparse())


def test_only_modules_that_no_import_finds_are_loaded_from_files(fakes: Any) -> None:
    assert file_of("torch.nn") == ""
    assert file_of("builtins") == ""
    assert file_of("interp_bench_fakes").endswith("fakes.py")
    parcel = pack(fakes.GuessProblem(model=None, seed=1, data=torch.ones(2)))
    assert dict(parcel.files).keys() == {"interp_bench_fakes"}
    parcel.close()
