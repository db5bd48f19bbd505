"""The command line of ``pytest --bench``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from interp_bench.errors import near_name
from interp_bench.harness.tiers import TIERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user asked for; relative paths are relative to ``here``.

    Attributes:
        techniques, models, tasks: names, patterns, ladders, files; empty means all.
        tier: quick, standard or full.
        seeds: a number or a list, as text.
        controls: names of negative controls; empty where none was named.
        device: where models run.
        store: file of the store, or None for the project's own.
        fresh: run again what is stored.
        min_skill: gates, as text.
        compare: run, file or folder to compare with, or an empty string.
        compare_fail: the largest drop of skill, as text.
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
    controls: tuple[str, ...]
    device: str
    store: Path | None
    fresh: bool
    min_skill: tuple[str, ...]
    compare: str
    compare_fail: str
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
    _single(group, "--bench-seeds", "N", "Number of seeds, or a list such as 0,5,7 (default: 3).")
    add(
        "--bench-control",
        action="append",
        default=[],
        metavar="NAME",
        help="Negative control: unplanted, rerandomised, shuffled, all or none (repeatable; by default those "
        "of one task a track on the smallest models, unless a task or a model is named).",
    )
    _single(group, "--bench-device", "DEVICE", "cpu (default), cuda, cuda:1 or mps.")
    _single(group, "--bench-store", "PATH", "Store of trials (default: .interp-bench/store.sqlite3).")
    add("--bench-fresh", action="store_true", help="Run again what is stored already.")
    add(
        "--bench-min-skill",
        action="append",
        default=[],
        metavar="TECHNIQUE:SKILL",
        help="Fail trials of a technique below a skill, e.g. pca:0.5 (repeatable).",
    )
    _single(group, "--bench-compare", "RUN", "Run, store or folder of *.jsonl to compare with.")
    _single(
        group,
        "--bench-compare-fail",
        "skill:-5%",
        "Fail trials whose skill dropped by more than this (with --bench-compare).",
    )
    _add_executor(group)
    add("--bench-explain", action="store_true", help="Say what is not run and why; run nothing.")


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
        controls=tuple(get("bench_control")),
        device=get("bench_device") or "cpu",
        store=here / store if store else None,
        fresh=get("bench_fresh"),
        min_skill=tuple(get("bench_min_skill")),
        compare=get("bench_compare") or "",
        compare_fail=get("bench_compare_fail") or "",
        explain=get("bench_explain"),
        executor=get("bench_executor") or "",
        here=here,
        root=project_root(config),
    )


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
