"""The last step of a plant in an image model: carried evidence drives its logits, beside the host's own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from interp_bench.errors import PlantingError
from interp_bench.model.handle import Model
from interp_bench.planting.evidence.base import NONE
from interp_bench.planting.evidence.images import Stamps

STRENGTH = 10.0  # logit that a pattern adds to its class, on average
_CALIBRATION = 48  # images that scales are measured on


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """How evidence travels through one network.

    Attributes:
        carriers: site -> (n_patterns, width) directions that hold it.
        readout: (n_patterns, features) what the classifier has to read, float64.
        arrival: (n_patterns, features) where evidence moves what the classifier reads, float64.
        offset: (n_patterns,) what ``readout`` gives without any evidence, float64.
        parts: names of the planted parts.
    """

    carriers: dict[str, Tensor]
    readout: Tensor
    arrival: Tensor
    offset: Tensor
    parts: tuple[str, ...]


def calibration(stamps: Stamps, groups: tuple[int, ...], seed: int) -> tuple[Tensor, Tensor]:
    """Return images (n, 3, height, width) for measuring scales, and their patterns (n, n_groups)."""
    generator = torch.Generator().manual_seed(seed)
    count = max(_CALIBRATION, 4 * max(groups))
    starts = torch.tensor([0, *groups[:-1]]).cumsum(0)
    drawn = []
    for size, start in zip(groups, starts, strict=True):
        # A group of one pattern shows it in half of the images, any other one pattern in each.
        places = torch.randperm(count, generator=generator) % max(2, size)
        drawn.append(torch.where(places < size, places + start, NONE))
    classes = torch.stack(drawn, 1)
    return stamps(classes, generator).inputs, classes


def connect(
    model: Model,
    wiring: Wiring,
    outputs: Tensor,
    effects: Tensor,
    stimuli: tuple[Tensor, Tensor],
    host_logit: float,
) -> None:
    """Write the classifier: the host's own logits, scaled and centred, plus the carried evidence.

    Args:
        model: the network, wired up to the classifier.
        wiring: what the classifier has to read.
        outputs: (n_outputs,) indices of the logits that patterns raise.
        effects: (n_patterns, n_outputs) how far each raises them, in units of STRENGTH.
        stimuli: images and their patterns, for measuring scales.
        host_logit: standard deviation over images of the host's own logits, as a share of the
            logit that a pattern adds.

    Raises:
        PlantingError: evidence does not arrive at the classifier.
    """
    images, classes = stimuli
    head = model.cnn.head
    weight = head.weight.data.double().cpu()
    span = torch.linalg.qr(wiring.arrival.T).Q
    host = weight - weight @ span @ span.T
    head.weight.data.copy_(host)
    logits = model.logits(images)[:, outputs].double().cpu()
    host = host * (host_logit * STRENGTH / logits.std(0).mean().clamp_min(1e-12))
    n = len(effects)
    shown = (classes[:, :, None] == torch.arange(n)).any(1)
    read = _response(model, wiring, images)
    rise = torch.stack([read[shown[:, k], k].mean() - read[~shown[:, k], k].mean() for k in range(n)])
    if not bool((rise > 0).all()):
        raise PlantingError("planted evidence does not arrive at the classifier of this network")
    host[outputs] += effects.T.double() @ (STRENGTH / rise[:, None] * wiring.readout)
    head.weight.data.copy_(host)
    _centre(model, outputs, images, shown.double() @ effects.double().abs() > 0)


def _response(model: Model, wiring: Wiring, images: Tensor) -> Tensor:
    """Return (n, n_patterns) what the readout gives on these images; overwrites rows of the classifier."""
    head, n = model.cnn.head, len(wiring.readout)
    head.weight.data[:n] = wiring.readout.to(head.weight)
    bias = getattr(head, "bias", None)
    constant = 0 if bias is None else bias.data[:n].double().cpu()
    return model.logits(images)[:, :n].double().cpu() - constant - wiring.offset


def _centre(model: Model, outputs: Tensor, images: Tensor, moved: Tensor) -> None:
    """Set the biases so that a logit that no pattern has ``moved`` (n, n_outputs) is zero on average."""
    bias = getattr(model.cnn.head, "bias", None)
    if bias is None:
        return
    logits = model.logits(images)[:, outputs].double().cpu()
    absent = torch.stack([logits[~moved[:, k], k].mean() for k in range(len(outputs))])
    bias.data[outputs] -= absent.to(bias)
