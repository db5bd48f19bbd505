"""The command line of ``pytest --bench``."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from interp_bench.errors import near_name
from interp_bench.harness.tiers import TIERS

ISOLATIONS = ("fresh", "warm", "none")

_SINGLE = ("bench_tier", "bench_seeds", "bench_device", "bench_store", "bench_compare", "bench_isolate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user asked for; relative paths are relative to ``here``.

    Attributes:
        techniques, models, tasks: names, patterns, ladders, files; empty means all.
        tier: quick, standard or full.
        seeds: a number or a list, as text.
        seed_secret: file of the secret that seeds follow from, ``env:NAME``, or an empty string.
        controls: names of negative controls; empty where none was named.
        device: where models run.
        isolate: ``fresh`` or ``warm`` workers, or ``none``.
        timeout, memory: limits of a trial as text, or empty strings.
        store: file of the store, or None for the project's own.
        fresh: run again what is stored.
        min_skill: gates, as text.
        compare: run, file or folder to compare with, or an empty string.
        compare_fail: the largest drops of skill, as text.
        explain: say what is not run and why, and run nothing.
        executor: the cluster that runs the trials, as text; empty for this process.
        here: the folder pytest was started in.
        root: the root folder of the project that pytest was started in.
    """

    techniques: tuple[str, ...]
    models: tuple[str, ...]
    tasks: tuple[str, ...]
    tier: str
    seeds: str
    seed_secret: str
    controls: tuple[str, ...]
    device: str
    isolate: str
    timeout: str
    memory: str
    store: Path | None
    fresh: bool
    min_skill: tuple[str, ...]
    compare: str
    compare_fail: tuple[str, ...]
    explain: bool
    executor: str
    here: Path
    root: Path

    @property
    def narrowed(self) -> tuple[str, ...]:
        """Which of technique, task and model the user narrowed."""
        given = {"technique": self.techniques, "task": self.tasks, "model": self.models}
        return tuple(kind for kind, names in given.items() if names)


def add_options(parser: pytest.Parser) -> None:
    """Add the option group to pytest's command line."""
    group = parser.getgroup("interp_bench", "benchmark of interpretability techniques")
    add = group.addoption
    add("--bench", action="store_true", help="Score techniques; ordinary tests are not run.")
    _repeatable(group, "--bench-technique", "name, track/name, pattern, or python file of techniques")
    _repeatable(group, "--bench-model", "id, pattern or ladder of models")
    _repeatable(group, "--bench-task", "name, track/name, pattern or track of tasks")
    _single(group, "--bench-tier", "TIER", "quick (default), standard or full.")
    _add_seeds(group)
    add(
        "--bench-control",
        action="append",
        default=[],
        metavar="NAME",
        help="Negative control: unplanted, rerandomised, shuffled, all or none (repeatable; by default those "
        "of one task a track on the smallest models, unless a task or a model is named).",
    )
    _single(group, "--bench-device", "DEVICE", "cpu (default), cuda, cuda:1 or mps.")
    _single(
        group,
        "--bench-isolate",
        "HOW",
        "Run techniques in fresh worker processes (default), in warm ones that stay for the next trial of "
        "the same source, or none: in this process, for --pdb.",
    )
    _single(group, "--bench-timeout", "SECONDS", "Longest call of a technique (default by tier).")
    _single(group, "--bench-memory", "GB", "Most memory of a trial (default: its share of the machine).")
    _single(group, "--bench-store", "PATH", "Store of trials (default: .interp-bench/store.sqlite3).")
    add("--bench-fresh", action="store_true", help="Run again what is stored already.")
    _add_gates(group)
    _add_executor(group)
    add("--bench-explain", action="store_true", help="Say what is not run and why; run nothing.")


def _add_gates(group: pytest.OptionGroup) -> None:
    """Add what compares a run with bounds and with another run."""
    add = group.addoption
    add(
        "--bench-min-skill",
        action="append",
        default=[],
        metavar="TECHNIQUE:SKILL",
        help="Fail trials of a technique below a skill, e.g. pca:0.5 (repeatable).",
    )
    _single(
        group,
        "--bench-compare",
        "RUN",
        "Run (or `last`), store, or file or folder of *.jsonl to compare with.",
    )
    add(
        "--bench-compare-fail",
        action="append",
        default=[],
        metavar="DROP",
        help="With --bench-compare: skill:-5%% fails each trial whose skill dropped by more, noise or not; "
        "mean:-2%% fails the run where the mean of a technique did. Either fails it where a technique had a "
        "skill and now breaks (repeatable).",
    )


def _add_seeds(group: pytest.OptionGroup) -> None:
    _single(group, "--bench-seeds", "N", "Number of seeds, or a list such as 0,5,7 (default: 3).")
    _single(
        group,
        "--bench-seed-secret",
        "PATH|env:NAME",
        "Plant from secret seeds; the secret is in this file or environment variable.",
    )


def _add_executor(group: pytest.OptionGroup) -> None:
    _single(
        group,
        "--bench-executor",
        "ray",
        "Run trials on Ray: ray (a cluster on this machine), ray:2 (of two workers), ray:auto or "
        "ray://HOST:PORT (one that is running).",
    )


def read_options(config: pytest.Config) -> Options:
    """Return the options.

    Raises:
        pytest.UsageError: options contradict one another.
    """
    get = config.getoption
    tier = get("bench_tier") or "quick"
    if tier not in TIERS:
        raise pytest.UsageError(
            f"--bench-tier is {tier!r}; give one of {', '.join(TIERS)}{near_name(tier, TIERS)}"
        )
    _refuse_odd_words(config)
    if get("bench_compare_fail") and not get("bench_compare"):
        raise pytest.UsageError("--bench-compare-fail needs --bench-compare RUN to compare with")
    here = config.invocation_params.dir
    store = get("bench_store")
    return Options(
        techniques=tuple(get("bench_technique")),
        models=tuple(get("bench_model")),
        tasks=tuple(get("bench_task")),
        tier=tier,
        seeds=get("bench_seeds") or "3",
        seed_secret=get("bench_seed_secret") or "",
        controls=tuple(get("bench_control")),
        device=get("bench_device") or "cpu",
        isolate=_isolation(config),
        timeout=get("bench_timeout") or "",
        memory=get("bench_memory") or "",
        store=here / store if store else None,
        fresh=get("bench_fresh"),
        min_skill=tuple(get("bench_min_skill")),
        compare=get("bench_compare") or "",
        compare_fail=tuple(get("bench_compare_fail")),
        explain=get("bench_explain"),
        executor=get("bench_executor") or "",
        here=here,
        root=project_root(config),
    )


def _isolation(config: pytest.Config) -> str:
    """Return how techniques are kept apart.

    Raises:
        pytest.UsageError: there is no such way here, or a debugger is asked for besides.
    """
    asked = config.getoption("bench_isolate")
    # The processes are forked, watched and ended by means of Linux.
    possible = sys.platform == "linux"
    chosen = asked or (ISOLATIONS[0] if possible else "none")
    if chosen not in ISOLATIONS:
        hint = near_name(chosen, ISOLATIONS)
        raise pytest.UsageError(f"--bench-isolate is {chosen!r}; give one of {', '.join(ISOLATIONS)}{hint}")
    if chosen != "none" and not possible:
        raise pytest.UsageError(f"--bench-isolate={chosen} needs Linux; leave it out, or give none")
    if chosen != "none" and getattr(config.option, "usepdb", False):
        raise pytest.UsageError("--pdb reaches techniques in this process only; add --bench-isolate=none")
    return str(chosen)


def _refuse_odd_words(config: pytest.Config) -> None:
    for name, given in vars(config.option).items():
        if not name.startswith("bench_"):
            continue
        for word in given if isinstance(given, list) and name not in _SINGLE else (given,):
            option = f"--{name.replace('_', '-')}"
            if isinstance(word, list):  # what argparse makes of `--name=--`
                raise pytest.UsageError(f"{option} is '--', which is no value")
            if isinstance(word, str) and "\0" in word:  # from a file of options; no command line has it
                raise pytest.UsageError(f"{option} holds the sign of number zero")


def project_root(config: pytest.Config) -> Path:
    """Return the root of the project that pytest was started in, which holds its store and tasks.

    pytest takes the values of ``--bench-technique`` and ``--bench-store`` for places to collect from
    when it looks for its root, for it does so before it knows these options. A file elsewhere would
    move the root there, or to a folder above both.
    """
    root, here = config.rootpath, config.invocation_params.dir
    if config.option.rootdir or (config.inipath is not None and here.is_relative_to(root)):
        return root
    return next((folder for folder in (here, *here.parents) if (folder / "pyproject.toml").is_file()), here)


def refuse_stray_options(config: pytest.Config) -> None:
    """Refuse ``--bench-...`` without ``--bench``, which would run the ordinary tests instead.

    Raises:
        pytest.UsageError: there is such an option.
    """
    for name, value in vars(config.option).items():
        if name.startswith("bench_") and value:
            raise pytest.UsageError(f"--{name.replace('_', '-')} needs --bench")


def _repeatable(group: pytest.OptionGroup, name: str, what: str) -> None:
    group.addoption(name, action="append", default=[], metavar="NAME", help=f"Only this {what} (repeatable).")


def _single(group: pytest.OptionGroup, name: str, metavar: str, text: str) -> None:
    group.addoption(name, default=None, metavar=metavar, help=text.replace("%", "%%"))
