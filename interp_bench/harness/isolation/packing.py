"""A problem with its planted model as a pickle, and the tensors beside it in memory that processes share."""

from __future__ import annotations

import fcntl
import functools
import io
import mmap
import os
import pickle
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import BuiltinFunctionType, FunctionType
from typing import Any

import torch
from torch import Tensor, nn

_ALIGNMENT = 64
"""Bytes; what torch aligns its own memory to. Kernels add up in another order on other boundaries."""


_FUTURE_WRITE = 0x10
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | _FUTURE_WRITE


class Segment:
    """Memory behind a file descriptor, seen by every process that holds it.

    Args:
        name: for ``/proc``.
        size: bytes.
    """

    def __init__(self, name: str, size: int) -> None:
        self.descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        self.size = max(1, size)
        os.ftruncate(self.descriptor, self.size)
        self.memory = mmap.mmap(self.descriptor, self.size)
        # From now on nobody else can map it for writing, whoever gets hold of the descriptor.
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, _SEALS)

    def close(self) -> None:
        """Give the descriptor back; tensors on the memory keep it."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A packed object.

    Attributes:
        segments: the pickle, then the tensors.
        owned: those segments that were made for this parcel.
        modules: names of the modules that unpickling imports.
        files: files of those modules that cannot be imported by name.
    """

    segments: tuple[Segment, ...]
    owned: tuple[Segment, ...]
    modules: tuple[str, ...]
    files: Mapping[str, str]

    def close(self) -> None:
        """Give back the descriptors that were made for this parcel."""
        for segment in self.owned:
            segment.close()


@dataclass(slots=True)
class Home:
    """The shared memory that the weights of a model live in, so that handing them on copies nothing."""

    segment: Segment | None = None
    places: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, module: nn.Module) -> Home:
        """Move the weights of a network on the CPU into shared memory, one tensor after another."""
        sharing: dict[int, list[Tensor]] = {}
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.device.type == "cpu" and tensor.numel():
                sharing.setdefault(tensor.untyped_storage().data_ptr(), []).append(tensor)
        sizes = [tensors[0].untyped_storage().nbytes() for tensors in sharing.values()]
        segment = Segment("interp-bench-weights", sum(map(_padded, sizes)))
        home, start = cls(segment=segment), 0
        for tensors, size in zip(sharing.values(), sizes, strict=True):
            moved = _view(segment.memory, start, size)
            moved.copy_(_bytes_of(tensors[0].untyped_storage()))
            home.places[moved.data_ptr()] = start
            for tensor in tensors:
                layout = (tensor.storage_offset(), tensor.shape, tensor.stride())
                tensor.data = torch.empty(0, dtype=tensor.dtype).set_(moved.untyped_storage(), *layout)
            start += _padded(size)
        return home

    def close(self) -> None:
        """Give the descriptor back; the network keeps the memory."""
        if self.segment is not None:
            self.segment.close()
            self.segment, self.places = None, {}


def pack(value: object, home: Home | None = None) -> Parcel:
    """Pack an object; its tensors go into shared memory, unless they live there already.

    Args:
        value: what is packed.
        home: where weights live; the receiver sees changes of them, so it has to be gone before any.

    Raises:
        TypeError, AttributeError, pickle.PicklingError: something in it cannot be pickled.
    """
    text = io.BytesIO()
    pickler = _Pickler(text, home)
    pickler.dump(value)
    data = text.getvalue()
    body = Segment("interp-bench-problem", len(data))
    body.memory[: len(data)] = data
    fresh = Segment("interp-bench-tensors", pickler.size)
    for start, storage in pickler.copied:
        _view(fresh.memory, start, storage.nbytes()).copy_(_bytes_of(storage))
    shared = (home.segment,) if home is not None and home.segment is not None else ()
    names = sorted(pickler.modules)
    return Parcel(
        segments=(body, fresh, *shared),
        owned=(body, fresh),
        modules=tuple(names),
        files={name: file for name in names if (file := file_of(name))},
    )


def mapped(descriptor: int) -> mmap.mmap:
    """Return the memory behind a descriptor; what is written to it stays in this process."""
    return mmap.mmap(descriptor, os.fstat(descriptor).st_size, flags=mmap.MAP_PRIVATE)


def unpack(maps: Sequence[mmap.mmap], *, device: bool) -> Any:
    """Return the object of a parcel.

    Args:
        maps: its segments as `mapped`, in order.
        device: whether tensors of an accelerator go back to it; otherwise they stay on the CPU.
    """
    return _Unpickler(io.BytesIO(maps[0]), maps[1:], device=device).load()


class _Pickler(pickle.Pickler):
    """Leaves tensors out, and notes which modules the rest needs."""

    def __init__(self, file: io.BytesIO, home: Home | None) -> None:
        super().__init__(file, protocol=5)
        self.modules: set[str] = set()
        self.copied: list[tuple[int, torch.UntypedStorage]] = []
        self.size = 0
        self._places: dict[int, int] = {}
        self._home = home
        self._kept: list[Tensor] = []

    def persistent_id(self, obj: object) -> tuple[Any, ...] | None:
        if not isinstance(obj, Tensor):
            if isinstance(obj, type | FunctionType | BuiltinFunctionType) and obj.__module__:
                self.modules.add(obj.__module__)
            return None
        device = str(obj.device)
        plain = obj.detach() if device == "cpu" else obj.detach().cpu()
        if plain.layout != torch.strided or plain.is_quantized or type(obj) not in (Tensor, nn.Parameter):
            raise pickle.PicklingError(f"a tensor of type {type(obj).__name__} and layout {obj.layout}")
        segment, start = self._place(plain)
        # Its identity is its name, so it may not make room for another before the end.
        self._kept += [obj, plain]
        return (
            segment,
            start,
            str(plain.dtype).removeprefix("torch."),
            plain.storage_offset(),
            tuple(plain.shape),
            tuple(plain.stride()),
            obj.requires_grad,
            isinstance(obj, nn.Parameter),
            device,
            id(obj),
        )

    def _place(self, tensor: Tensor) -> tuple[int, int]:
        storage = tensor.untyped_storage()
        if storage.nbytes() == 0:
            return 0, 0
        pointer = storage.data_ptr()
        if self._home is not None and pointer in self._home.places:
            return 1, self._home.places[pointer]
        if pointer not in self._places:
            self._places[pointer] = self.size
            self.copied.append((self.size, storage))
            self.size += _padded(storage.nbytes())
        return 0, self._places[pointer]


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, maps: Sequence[mmap.mmap], *, device: bool) -> None:
        super().__init__(file)
        self._maps = maps
        self._device = device
        self._seen: dict[int, Tensor] = {}

    def persistent_load(self, pid: Any) -> Tensor:
        identity = pid[-1]
        if identity not in self._seen:
            self._seen[identity] = self._tensor(*pid[:-1])
        return self._seen[identity]

    def _tensor(
        self,
        segment: int,
        start: int,
        dtype: str,
        offset: int,
        shape: tuple[int, ...],
        stride: tuple[int, ...],
        gradient: bool,
        parameter: bool,
        device: str,
    ) -> Tensor:
        kind = getattr(torch, dtype)
        tensor = torch.empty(0, dtype=kind)
        if all(shape):
            length = (
                offset + 1 + sum((n - 1) * s for n, s in zip(shape, stride, strict=True))
            ) * kind.itemsize
            storage = self._storage(segment, start, length)
            tensor = tensor.set_(storage, offset, shape, stride)
        else:
            tensor = tensor.reshape(shape)
        if self._device and device != "cpu":
            tensor = tensor.to(device)
        return nn.Parameter(tensor, requires_grad=gradient) if parameter else tensor.requires_grad_(gradient)

    def _storage(self, segment: int, start: int, length: int) -> torch.UntypedStorage:
        return _view(self._maps[segment], start, length).untyped_storage()


def _view(memory: mmap.mmap, start: int, size: int) -> Tensor:
    if size == 0:
        return torch.empty(0, dtype=torch.uint8)
    return torch.frombuffer(memory, dtype=torch.uint8, offset=start, count=size)


def _bytes_of(storage: torch.UntypedStorage) -> Tensor:
    return torch.empty(0, dtype=torch.uint8).set_(storage)


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


@functools.cache
def file_of(name: str) -> str:
    """Return the file of a module that was loaded from one under a name that no import finds."""
    file = getattr(sys.modules.get(name), "__file__", None)
    top = name.partition(".")[0]
    # A module that is loaded is found by its own record, so the finders are asked.
    found = any(f.find_spec(top, None) is not None for f in sys.meta_path if hasattr(f, "find_spec"))
    return "" if found or not file else str(file)
