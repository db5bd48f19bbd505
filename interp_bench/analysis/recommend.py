"""Which techniques to take for a model of a given size, and on what that advice rests."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from interp_bench.analysis.access import ACCESS
from interp_bench.analysis.balance import indicators, over_tasks
from interp_bench.analysis.cells import Cell
from interp_bench.analysis.prediction import FEWEST, predicted
from interp_bench.analysis.stats import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What somebody has and looks for.

    Attributes:
        track, modality: the question, and ``lm`` or ``image``.
        params: parameters of the model.
        seconds: what one call may take; None for any time.
        access: the deepest access that there is; None for all.
    """

    track: str
    modality: str
    params: int
    seconds: float | None = None
    access: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What is registered of a technique.

    Attributes:
        technique: bare name.
        access: the deepest access that it uses.
        modalities, kinds: the models that it takes; no kinds mean any.
        min_params, max_params: sizes that it takes; None means any.
    """

    technique: str
    access: str
    modalities: tuple[str, ...] = ("lm", "image")
    kinds: tuple[str, ...] = ()
    min_params: int = 0
    max_params: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommended:
    """One technique.

    Attributes:
        technique, access, kinds: as registered.
        skill: expected mean over the tasks of the track, with a prediction interval, cut to 0..1 (see
            ``analysis.prediction``); n is how many models it rests on. Bounds are 0 and 1 where fewer than
            three models were scored, and then the mean is just theirs.
        seconds: predicted wall clock of one call, with its interval; None where it never gave an answer.
        places, trials: how many places and trials skill rests on.
        smallest, largest: parameters of the smallest and largest model scored.
        beyond: how many times the size wanted is past the largest, or short of the smallest as a fraction
            below 1; exactly 1 inside of what was scored.
    """

    technique: str
    access: str
    kinds: tuple[str, ...]
    skill: Interval
    seconds: Interval | None
    places: int
    trials: int
    smallest: int
    largest: int
    beyond: float

    @property
    def extrapolates(self) -> bool:
        """Whether the size lies outside of what was scored."""
        return self.beyond != 1.0

    @property
    def drawn(self) -> bool:
        """Whether there were enough models to draw a line through."""
        return self.skill.n >= FEWEST


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A technique that is not recommended, and why."""

    technique: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """The answer.

    Attributes:
        wanted: what was asked.
        rows: best first: by falling expected skill, those with fewer than three models at the end.
        left_out: the other techniques of the track, sorted by reason and name.
        device: where the seconds were measured: the device of most trials. Trials of other devices count
            for skill alone.
    """

    wanted: Wanted
    rows: tuple[Recommended, ...]
    left_out: tuple[LeftOut, ...]
    device: str


def recommend(cells: Iterable[Cell], known: Iterable[Abilities], wanted: Wanted) -> Advice:
    """Return the techniques for a model, with what they are predicted to reach and to cost there.

    Args:
        cells: what was scored; failing trials count as skill 0.
        known: techniques of the track that exist.
        wanted: what is looked for.
    """
    scored: dict[str, list[Cell]] = {}
    for cell in cells:
        if (cell.track, cell.modality, cell.role) == (wanted.track, wanted.modality, "technique"):
            scored.setdefault(cell.technique, []).append(cell)
    device = _device(scored)
    rows, left_out = [], []
    for abilities in known:
        row = _row(abilities, scored.get(abilities.technique, ()), wanted, device)
        if isinstance(row, Recommended):
            rows.append(row)
        else:
            left_out.append(LeftOut(technique=abilities.technique, reason=row))
    return Advice(
        wanted=wanted,
        rows=tuple(sorted(rows, key=lambda row: (not row.drawn, -row.skill.mean, row.technique))),
        left_out=tuple(sorted(left_out, key=lambda out: (out.reason, out.technique))),
        device=device,
    )


def _row(abilities: Abilities, cells: Sequence[Cell], wanted: Wanted, device: str) -> Recommended | str:
    """Return the prediction, or why there is none."""
    unfit = _unfit(abilities, wanted)
    if unfit:
        return unfit
    cells = sorted((c for c in cells if c.ranked is not None), key=lambda c: (c.params, c.model, c.task))
    if not cells:
        return "never scored there"
    seconds = _cost(cells, wanted.params, device)
    if wanted.seconds is not None:
        if seconds is None:
            return f"of unknown cost on {device}"
        if seconds.mean > wanted.seconds:
            return "over the budget"
    smallest, largest = cells[0].params, cells[-1].params
    return Recommended(
        technique=abilities.technique,
        access=abilities.access,
        kinds=abilities.kinds,
        skill=_skill(cells, wanted.params),
        seconds=seconds,
        places=len(cells),
        trials=sum(cell.ranked.n for cell in cells if cell.ranked is not None),
        smallest=smallest,
        largest=largest,
        beyond=wanted.params / min(max(wanted.params, smallest), largest),
    )


def _unfit(abilities: Abilities, wanted: Wanted) -> str:
    if wanted.modality not in abilities.modalities:
        return f"not for {wanted.modality} models"
    if wanted.access is not None and ACCESS.index(abilities.access) > ACCESS.index(wanted.access):
        return f"with access to {abilities.access}"
    if abilities.max_params is not None and wanted.params > abilities.max_params:
        return "meant for smaller models"
    return "meant for larger models" if wanted.params < abilities.min_params else ""


def _skill(cells: Sequence[Cell], params: int) -> Interval:
    means = [cell.ranked.mean for cell in cells if cell.ranked is not None]
    weights = over_tasks(
        indicators([cell.model for cell in cells]), indicators([cell.task for cell in cells])
    )
    sizes = {cell.model: float(cell.params) for cell in cells}
    return predicted([sizes[model] for model in sorted(sizes)], list(weights @ means), params).skill


def _cost(cells: Sequence[Cell], params: int, device: str) -> Interval | None:
    """Return the seconds of a call: a line through the logarithms of each model's median.

    Past the largest model, seconds are at least those there times the ratio of sizes: on small models
    most of a call is overhead, and a line through them would promise too much.
    """
    models: dict[str, list[float]] = {}
    sizes = {cell.model: cell.params for cell in cells}
    for trial in (trial for cell in cells for trial in cell.trials):
        if trial.status == "ok" and trial.provenance.device == device:
            models.setdefault(trial.model, []).append(max(trial.seconds, 1e-6))
    if not models:
        return None
    order = sorted(models, key=lambda model: (sizes[model], model))
    medians = [statistics.median(models[model]) for model in order]
    line = predicted([sizes[m] for m in order], [math.log10(value) for value in medians], params).interval
    ratio = params / sizes[order[-1]]
    least = medians[-1] * ratio if ratio > 1 else 0.0
    low, centre, high = (_power_of_ten(value) for value in (line.low, line.mean, line.high))
    centre = max(centre, least)
    return Interval(mean=centre, low=low, high=max(high, centre), n=line.n)


def _power_of_ten(exponent: float) -> float:
    return 10**exponent if exponent < 300 else math.inf


def _device(scored: Mapping[str, Sequence[Cell]]) -> str:
    """Return the device of most trials; of several the first by name."""
    counts = Counter(
        trial.provenance.device
        for cells in scored.values()
        for cell in cells
        for trial in cell.trials
        if trial.status == "ok"
    )
    return min(counts, key=lambda name: (-counts[name], name), default="")
