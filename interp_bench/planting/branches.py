"""One residual branch with hidden units: what they read, where they write, and how to rewire some of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from interp_bench.errors import PlantingError
from interp_bench.model.handle import Model
from interp_bench.model.projection import Projection
from interp_bench.model.transformer import TransformerAnatomy

_SMOOTH = 200.0
"""Pre-activation of a smooth unit at the mean of its positive part: there gelu and silu are a relu."""

_LEAST_SCALE = 1e-7


class Branch(ABC):
    """Hidden units ``act(W x + b)`` and the directions that they write to a site.

    Attributes:
        site: where the sum of what all units write can be read.
        reads: site whose activation determines ``x``.
        hidden: site of the units' outputs.
        affine: whether units have a bias; without one a threshold needs a steady read (see ``wire``).
        gain: how much larger than their mean the positive pre-activations should be made.
    """

    site: str
    reads: str
    hidden: str
    affine: bool
    gain: float

    @property
    @abstractmethod
    def n_units(self) -> int:
        """Number of hidden units."""

    @abstractmethod
    def inputs(self, read: Tensor) -> Tensor:
        """Return what the units' weights multiply (..., d_in), from the activation at ``reads``."""

    @abstractmethod
    def pre_activations(self, x: Tensor, units: Tensor) -> Tensor:
        """Return (n,) what the detecting unit ``units[i]`` makes of ``x[i]``, before its activation function.

        Args:
            x: (n, d_in), as ``inputs`` gives it; differentiable.
            units: (n,) indices.
        """

    @abstractmethod
    def wire(self, units: Tensor, weights: Tensor, offsets: Tensor, steady: Tensor | None) -> None:
        """Make units read ``act(weights @ x - offsets)``.

        Args:
            units: (n,) indices.
            weights: (n, d_in).
            offsets: (n,).
            steady: (d_in,) read that is about 1 on every input; takes the place of the bias where
                the branch is not affine, and of the up projection of a gated unit.
        """

    @abstractmethod
    def write(self, units: Tensor, directions: Tensor) -> None:
        """Make a unit's output of 1 add its row of ``directions`` (n, width of site) to the site."""

    def quiet(self) -> None:
        """Make zero all that the block writes to the stream, so that it hands on what it gets.

        Raises:
            PlantingError: this branch is not one of several.
        """
        raise PlantingError(f"{self.site}: this branch cannot be made quiet")

    def silence(self, units: Tensor, width: int) -> None:
        """Make units write nothing."""
        self.write(units, torch.zeros(len(units), width, dtype=torch.float64))


@dataclass(frozen=True, kw_only=True)
class MlpBranch(Branch):
    """The MLP of a transformer or ConvNeXt block, gated or not.

    Attributes:
        norm: module between ``reads`` and the MLP; None where ``reads`` is its output already.
        up, gate, down: its projections.
        scale: (width,) layer scale after the MLP, or None.
        beside: the output projection of the attention of the same block, or None.
    """

    site: str
    reads: str
    hidden: str
    norm: nn.Module | None
    up: Projection
    gate: Projection | None
    down: Projection
    scale: Tensor | None
    beside: Projection | None = None
    gain: float = _SMOOTH

    @property
    def affine(self) -> bool:  # type: ignore[override]
        """Whether the detecting projection has a bias."""
        return (self.gate or self.up).read_bias() is not None

    @property
    def n_units(self) -> int:
        """Number of hidden units."""
        return self.down.n_rows

    def inputs(self, read: Tensor) -> Tensor:
        """Return the normalised stream."""
        if self.norm is None:
            return read
        out: Tensor = self.norm(read)
        return out

    def pre_activations(self, x: Tensor, units: Tensor) -> Tensor:
        """Return what the gate, or the up projection where there is none, makes of ``x``."""
        weights, bias = (self.gate or self.up).read_columns(units)
        read: Tensor = (x.to("cpu", torch.float64) * weights.T).sum(1)
        return read if bias is None else read + bias

    def wire(self, units: Tensor, weights: Tensor, offsets: Tensor, steady: Tensor | None) -> None:
        """Rewire the detecting projection; the up projection of gated units reads ``steady``."""
        detector = self.gate or self.up
        if self.affine:
            detector.write_biases(units, -offsets)
        else:
            assert steady is not None
            weights = weights - offsets[:, None] * steady
        detector.write_columns(units, weights.T)
        if self.gate is not None:
            assert steady is not None
            self.up.write_columns(units, steady.expand_as(weights).T)
            self.up.write_biases(units, torch.zeros(len(units)))

    def write(self, units: Tensor, directions: Tensor) -> None:
        """Rewire the down projection."""
        if self.scale is not None:
            directions = directions / _usable(self.scale, self.site)
        self.down.write_inputs(units, directions)

    def quiet(self) -> None:
        """Make the down projection zero, and the attention's output beside it."""
        self.down.zero()
        if self.beside is not None:
            self.beside.zero()


@dataclass(frozen=True, kw_only=True)
class ConvBranch(Branch):
    """Two convolutions of a ResNet block, each with its batch norm; units are channels after the ReLU.

    Only centre taps are written, so that a position's code depends on that position alone. The site
    is the second batch norm's output: behind the block's last ReLU the sum would no longer be linear.
    """

    site: str
    reads: str
    hidden: str
    first: nn.Conv2d
    first_norm: nn.BatchNorm2d
    second: nn.Conv2d
    second_norm: nn.BatchNorm2d
    affine: bool = True
    gain: float = 1.0

    @property
    def n_units(self) -> int:
        """Number of hidden channels."""
        return self.second.in_channels

    def inputs(self, read: Tensor) -> Tensor:
        """Return the channels at each position."""
        return read

    def pre_activations(self, x: Tensor, units: Tensor) -> Tensor:
        """Return what the centre taps of the first convolution and its batch norm make of ``x``."""
        kernel, norm = self.first.weight.data, self.first_norm
        taps = kernel[units, :, kernel.shape[2] // 2, kernel.shape[3] // 2].double().cpu()
        mean, variance = _statistics(norm)
        scale = norm.weight.data.double().cpu() / (variance + norm.eps).sqrt()
        read = (x.to("cpu", torch.float64) * taps).sum(1) - mean[units]
        out: Tensor = read * scale[units] + norm.bias.data.double().cpu()[units]
        return out

    def wire(self, units: Tensor, weights: Tensor, offsets: Tensor, steady: Tensor | None) -> None:
        """Rewire the first convolution; its batch norm is made the identity on these channels."""
        kernel, norm = self.first.weight.data, self.first_norm
        mean, variance = _statistics(norm)
        kernel[units] = 0
        row, column = kernel.shape[2] // 2, kernel.shape[3] // 2
        kernel[units, :, row, column] = weights.to(kernel)
        norm.weight.data[units] = (variance[units] + norm.eps).sqrt().to(kernel)
        norm.bias.data[units] = (mean[units] - offsets).to(kernel)

    def write(self, units: Tensor, directions: Tensor) -> None:
        """Rewire the second convolution, against the scale of its batch norm."""
        kernel, norm = self.second.weight.data, self.second_norm
        _, variance = _statistics(norm)
        scale = norm.weight.data.double().cpu() / (variance + norm.eps).sqrt()
        kernel[:, units] = 0
        row, column = kernel.shape[2] // 2, kernel.shape[3] // 2
        kernel[:, units, row, column] = (directions / _usable(scale, self.site)).T.to(kernel)


def stacks(model: Model) -> Iterator[list[Branch]]:
    """Yield the middle branch and those above it that write to the same stream, then from one block lower.

    Raises:
        PlantingError: the network has no branch that units can be rewired in.
    """
    middle, anatomy = middle_branch(model), model.anatomy
    if isinstance(anatomy, TransformerAnatomy):
        for first in range(len(anatomy.blocks) // 3, -1, -1):
            yield [_transformer_branch(anatomy, layer) for layer in range(first, len(anatomy.blocks))]
    elif anatomy is not None and anatomy.family == "convnext":
        stage = middle.site.rpartition(".")[0]
        paths = [path for path in anatomy.blocks if path.rpartition(".")[0] == stage]
        for first in range(paths.index(middle.site), -1, -1):
            yield [_convnext_branch(path, anatomy.blocks[path]) for path in paths[first:]]
    else:
        yield [middle]


def middle_branch(model: Model) -> Branch:
    """Return the branch of a block in the middle of a CNN, or a third of the way up a transformer.

    There the stream is already mixed, and passes stay short: nothing above the site is run, which
    counts in a deep language model.

    Raises:
        PlantingError: the network has no branch that units can be rewired in.
    """
    if isinstance(model.anatomy, TransformerAnatomy):
        return _transformer_branch(model.anatomy, len(model.anatomy.blocks) // 3)
    if model.anatomy is None:
        raise PlantingError(
            f"model {model.spec.id!r} ({model.spec.kind}) has no branch that features fit into"
        )
    paths = list(model.anatomy.blocks)
    if model.anatomy.family == "convnext":
        path = paths[len(paths) // 2]
        return _convnext_branch(path, model.anatomy.blocks[path])
    plain = [
        i for i, p in enumerate(paths) if i and getattr(model.anatomy.blocks[p], "downsample", None) is None
    ]
    if not plain:
        raise PlantingError(f"model {model.spec.id!r} has no block whose input keeps its resolution")
    index = min(plain, key=lambda i: abs(i - len(paths) // 2))
    return _resnet_branch(paths[index - 1], paths[index], model.anatomy.blocks[paths[index]])


def _transformer_branch(anatomy: TransformerAnatomy, layer: int) -> MlpBranch:
    block = anatomy.blocks[layer]
    scale = getattr(getattr(block.module, "ls2", None), "gamma", None)
    return MlpBranch(
        site=f"blocks.{layer}.hook_resid_post",
        reads=f"blocks.{layer}." + ("hook_resid_pre" if anatomy.parallel else "hook_resid_mid"),
        hidden=f"blocks.{layer}.mlp.hook_post",
        norm=block.norm2,
        up=block.mlp_in,
        gate=block.mlp_gate,
        down=block.mlp_out,
        beside=block.out,
        scale=None if scale is None else scale.data,
    )


def _convnext_branch(path: str, block: nn.Module) -> MlpBranch:
    mlp = block.mlp
    if not isinstance(mlp, nn.Module) or hasattr(mlp, "grn"):
        raise PlantingError(f"{path}: its units are coupled by a global response norm")
    scale = getattr(block, "gamma", None)
    return MlpBranch(
        site=path,
        reads=f"{path}.norm",
        hidden=f"{path}.mlp.norm",
        norm=None,
        up=Projection(mlp.get_submodule("fc1")),
        gate=None,
        down=Projection(mlp.get_submodule("fc2")),
        scale=None if not isinstance(scale, Tensor) else scale.data,
    )


def _resnet_branch(before: str, path: str, block: nn.Module) -> ConvBranch:
    number, reads = (2, f"{path}.act1") if hasattr(block, "conv3") else (1, before)
    parts = [block.get_submodule(f"{kind}{number + i}") for i in (0, 1) for kind in ("conv", "bn")]
    first, first_norm, second, second_norm = parts
    if not isinstance(first, nn.Conv2d) or not isinstance(second, nn.Conv2d):
        raise PlantingError(f"{path}: its convolutions are not plain ones")
    if not isinstance(first_norm, nn.BatchNorm2d) or not isinstance(second_norm, nn.BatchNorm2d):
        raise PlantingError(f"{path}: its norms are not batch norms")
    if first.groups != 1 or first.stride != (1, 1):
        raise PlantingError(f"{path}: its convolution is grouped or strided")
    return ConvBranch(
        site=f"{path}.bn{number + 1}",
        reads=reads,
        hidden=f"{path}.act{number}",
        first=first,
        first_norm=first_norm,
        second=second,
        second_norm=second_norm,
    )


def _statistics(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return norm.running_mean.double().cpu(), norm.running_var.double().cpu()


def _usable(scale: Tensor, site: str) -> Tensor:
    scale = scale.double().cpu()
    if float(scale.abs().min()) < _LEAST_SCALE:
        raise PlantingError(f"{site}: a scale of zero hides what the branch writes there")
    return scale
