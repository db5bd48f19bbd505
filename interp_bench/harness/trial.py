"""The stored unit: one technique on one task, one model and one seed, with its status and reason."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError
from pydantic_core import PydanticCustomError

from interp_bench.errors import one_line

SCHEMA = 1
"""Number of the layout of a stored trial; raised when a field changes its meaning."""

Status = Literal["ok", "skipped", "failed", "timed_out", "out_of_memory", "invalid", "crashed"]
Role = Literal["technique", "floor", "ceiling"]
Control = Literal["", "unplanted", "rerandomised", "shuffled"]

STATUSES: tuple[Status, ...] = (
    "ok",
    "invalid",
    "skipped",
    "failed",
    "timed_out",
    "out_of_memory",
    "crashed",
)

CONTROLS: tuple[Control, ...] = ("unplanted", "rerandomised", "shuffled")
"""Questions without an answer: the host before planting, the planted network with its weights permuted
within and across layers, and the planted network asked for something else. In the order of every table."""

Scores = dict[str, FiniteFloat]
NonNegative = Annotated[FiniteFloat, Field(ge=0)]
Whole = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Arguments = dict[str, bool | int | FiniteFloat | str | None]


def _known_schema(number: int) -> int:
    if not 1 <= number <= SCHEMA:
        raise PydanticCustomError(
            "schema",
            "this interp_bench reads up to {most}, not {number}; upgrade interp_bench",
            {"most": SCHEMA, "number": number},
        )
    return number


def _encodable(text: str) -> str:
    """Return a text that UTF-8 can hold: what a technique raises may come from the name of any file."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class Stored(BaseModel):
    """Base of everything that is stored: frozen, and refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class CheckNumbers(Stored):
    """One check of a certificate: the measured value and the bound that it had to meet."""

    value: float
    relation: Literal[">=", "<="]
    bound: float
    passed: bool


class Provenance(Stored):
    """Where and with what a trial was run; names no path of the machine.

    Attributes:
        interp_bench, python, torch, transformers, timm, transformer_lens, numpy: versions.
        git_commit: commit of the project that was benchmarked, empty outside a repository.
        device: ``cpu``, or the name of the accelerator.
        threads: intra-op threads of the process.
        platform: operating system and processor architecture.
        started_at: UTC, ISO 8601.
        isolation: what stood between the technique and the harness; empty where it was not isolated.
    """

    interp_bench: str
    git_commit: str = ""
    python: str
    torch: str = ""
    transformers: str = ""
    timm: str = ""
    transformer_lens: str = ""
    numpy: str = ""
    device: str = "cpu"
    threads: int = 1
    platform: str = ""
    started_at: str
    isolation: str = ""


class Trial(Stored):
    """One technique x task x model x seed.

    Attributes:
        schema_number: layout of this record.
        key: hash of everything that decides the result; equal keys mean equal questions.
        run_id: the run that computed it.
        technique, track, task, model, seed: what was tried; ``technique`` is the bare name.
        control: the negative control that the technique saw in place of the planted problem, or an
            empty string; scores, floor and ceiling are those of the planted problem all the same.
        seed_secret: commitment to the secret that the seed of the plant follows from with ``seed`` as
            its number, or an empty string where ``seed`` is that seed.
        role: ``floor`` and ``ceiling`` rows calibrate the others.
        status, reason: the outcome in a word, and why when it is not ``ok``.
        primary: name of the metric that ``skill`` is computed from.
        scores: every metric of the answer; empty unless ``status`` is ``ok``.
        floor_scores: mean over ``floor_draws`` guesses on the same problem, by the same code.
        floor_spread: standard deviation of those guesses (of one draw, not of the mean).
        ceiling_scores: the score of the truth itself.
        skill: ``(score - floor) / (ceiling - floor)`` of the primary metric; None unless ``ok``.
        seconds, cpu_seconds: cost of the technique's call, wall clock and processor.
        peak_memory_mb: peak resident memory above the idle planted model, in MiB.
        forwards, backwards: passes through the model during the call.
        grade_seconds: cost of grading the answer.
        plant_seconds: cost of planting and certifying the problem, and of measuring its floor and
            ceiling; shared by all techniques.
        certificate: the checks of the problem, by name.
        warnings: how many warnings of each category the technique raised.
        technique_version, technique_arguments, technique_fingerprint: what was run.
        task_version, dials: what was asked.
        model_revision, params, modality, kind, ladder: facts about the model.
        provenance: where and with what it was run.
    """

    schema_number: Annotated[int, AfterValidator(_known_schema)] = SCHEMA
    key: str
    run_id: str
    technique: str
    track: str
    task: str
    model: str
    seed: Whole
    control: Control = ""
    seed_secret: str = ""
    role: Role = "technique"
    status: Status
    reason: Annotated[str, AfterValidator(_encodable)] = ""
    primary: str
    scores: Scores = {}
    floor_scores: Scores = {}
    floor_spread: Scores = {}
    floor_draws: Count = 0
    ceiling_scores: Scores = {}
    skill: FiniteFloat | None = None
    seconds: NonNegative = 0.0
    cpu_seconds: NonNegative = 0.0
    peak_memory_mb: NonNegative = 0.0
    forwards: Count = 0
    backwards: Count = 0
    grade_seconds: NonNegative = 0.0
    plant_seconds: NonNegative = 0.0
    certificate: dict[str, CheckNumbers] = {}
    warnings: dict[str, Whole] = {}
    technique_version: Whole
    technique_arguments: Arguments = {}
    technique_fingerprint: str = ""
    task_version: Whole
    dials: Arguments = {}
    model_revision: str
    params: Count
    modality: str
    kind: str
    ladder: str = ""
    provenance: Provenance

    @property
    def technique_id(self) -> str:
        """``track/technique``."""
        return f"{self.track}/{self.technique}"

    @property
    def task_id(self) -> str:
        """``track/task``."""
        return f"{self.track}/{self.task}"

    @property
    def cell(self) -> tuple[str, str, str, int, str]:
        """Technique id, task id, model, seed and control: what a newer trial replaces an older one on."""
        return (self.technique_id, self.task_id, self.model, self.seed, self.control)

    @property
    def name(self) -> str:
        """Readable name, ``features/dictionary[pca-resnet18-0]``; a control is named at its end."""
        return f"{self.task_id}[{self.technique}-{self.model}-{self.seed}{suffix_of(self.control)}]"


def suffix_of(control: str) -> str:
    """Return what the name of a trial ends in: ``-unplanted``, or nothing without a control."""
    return f"-{control}" if control else ""


_LONGEST = 80
"""Characters of a field's name that a message shows; a foreign line may have any."""


def fault_in(error: ValidationError) -> str:
    """Return the first thing that is wrong with a trial, with the field it is in, as one line."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part)[:_LONGEST] for part in first["loc"])
    return one_line(f"{where}: {first['msg']}" if where else first["msg"])


def skill_of(score: float, floor: float, ceiling: float) -> float:
    """Return ``(score - floor) / (ceiling - floor)``: 0 is guessing, 1 is the truth.

    It has the same sign for metrics where lower is better, since numerator and denominator turn
    together. It is exactly 1.0 when ``score`` equals ``ceiling``.

    Raises:
        ZeroDivisionError: floor and ceiling are the same, so there is nothing to measure.
    """
    return (score - floor) / (ceiling - floor)
