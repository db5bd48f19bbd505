"""Find the channel groups of a CNN through which two patterns meet and decide the class."""

from __future__ import annotations

from interp_bench.model.handle import Model
from interp_bench.planting.channels.dials import ChannelDials
from interp_bench.planting.channels.plant import plant_conjunction
from interp_bench.tracks.base import Planted
from interp_bench.tracks.catalogue import Needs, task
from interp_bench.tracks.circuits import CircuitProblem, CircuitTruth
from interp_bench.tracks.planted_circuit import LARGE, planted_circuit

_CERTIFIED = 48  # a cut circuit still guesses one class of three: fewer images could not tell the two apart


@task(
    version=2,
    needs=Needs(modalities=("image",), kinds=("resnet", "convnext")),
    quick=Needs(modalities=("image",), kinds=("convnext",), max_params=200_000),
)
def channel_conjunction(
    model: Model,
    seed: int,
    *,
    amplitude: float = 1.0,
    lures: int = 2,
    shares: int = 1,
    moves: float = 0.5,
    mixing: float = 0.5,
    saturation: float = 1.0,
    leak: float = 0.01,
    host_logit: float = 0.1,
    n_pairs: int = 8,
) -> Planted[CircuitProblem, CircuitTruth]:
    """Channel groups carry two kinds of patterns to a block that says which class their pair has."""
    dials = ChannelDials(
        amplitude=amplitude,
        lures=lures,
        shares=shares,
        moves=moves,
        mixing=mixing,
        saturation=saturation,
        leak=leak,
        host_logit=host_logit,
    )
    circuit = plant_conjunction(model, seed=seed, dials=dials)
    # Large models get a quarter of what is asked for.
    certified = 2 * _CERTIFIED if model.spec.params > LARGE else _CERTIFIED
    return planted_circuit(model, circuit, seed=seed, n_pairs=n_pairs, certified=certified)
