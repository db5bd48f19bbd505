"""The page of all published orderings, put together from the files of the sections."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from tabulate import tabulate

from interp_bench.analysis.stats import mean

from .orderings import Judged, interval_of
from .sections import Section
from .stored import Result, versions

HEAD = """# Published orderings, measured anew

Does this benchmark order techniques as the papers did that introduced or compared them? Each statement
below is measured on planted truth and judged by the 95% t-interval of paired differences: it holds where
the interval lies on the published side, does not hold where it lies on the other one, and is undecided
where the interval reaches across. Nothing was tuned until an ordering held. What does not hold is a
finding, and is explained as far as it is understood.

Put together by `python -m benchmarks.reproduce`, which keeps what each section found, and when, in
`benchmarks/reproduce/results/`; do not edit it by hand.
"""


def page(found: Sequence[tuple[Section, Result | None]]) -> str:
    """Return the page in Markdown; sections that were never measured are named."""
    measured = [(section, result) for section, result in found if result is not None]
    judged = [(section, judgements(section, result)) for section, result in measured]
    rows = [
        (
            f"[{section.title}](#{anchor(section.title)})",
            *(counts[v] for v in ("holds", "does not hold", "undecided")),
        )
        for section, these in judged
        for counts in [Counter(one.verdict for one in these)]
    ]
    heads = ("section", "holds", "does not hold", "undecided")
    parts = [HEAD, tabulate(rows, headers=heads, tablefmt="github") + "\n"]
    parts += [
        f"Not measured yet: {s.title} (`--section {s.name}`).\n" for s, result in found if result is None
    ]
    parts += [told(section, result) for section, result in measured]
    return "\n".join(parts)


def anchor(title: str) -> str:
    """Return the name of a heading in links."""
    return "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c == "-")


def judgements(section: Section, result: Result) -> list[Judged]:
    """Return what was found of each statement whose metric was measured."""
    return [one.judged(result.values) for one in section.statements if one.metric in result.values]


def told(section: Section, result: Result) -> str:
    """Return a section in Markdown."""
    judged = judgements(section, result)
    heads = ("metric", "published", "published values", "difference here", "n", "verdict")
    rows = [(j.metric, j.statement, j.published, j.found, j.n, j.verdict) for j in judged]
    return (
        "\n\n".join(
            [
                f"## {section.title}",
                f"Published: {section.source}. {section.scale}",
                f"Measured on {result.day} with interp_bench {result.interp_bench} at "
                f"{result.git_commit[:10]}, torch {result.torch}, {result.platform}: {result.seeds} seeds, "
                f"{result.seconds:.0f} s of one processor, by `{result.command}`. Intervals are over units: "
                f"{section.unit}.{out_of_date(section, result)}",
                *(
                    _table(caption, metrics, result.values)
                    for caption, metrics in section.metrics
                    if result.values.keys() & set(metrics)
                ),
                tabulate(rows, headers=heads, tablefmt="github", disable_numparse=True),
                *_explanations(judged),
            ]
        )
        + "\n"
    )


def out_of_date(section: Section, result: Result) -> str:
    """Return a sentence that names techniques whose version is another one by now; nothing if none is."""
    now = versions(section)
    other = sorted(name for name, version in result.versions.items() if now.get(name) != version)
    return f" **Out of date: {', '.join(other)} changed since.**" if other else ""


def _table(
    caption: str, metrics: Sequence[str], values: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> str:
    metrics = [metric for metric in metrics if metric in values]
    first = {name: mean(list(found.values())) for name, found in values[metrics[0]].items()}
    others = [name for metric in metrics for name in values[metric] if name not in first]
    names = [*sorted(first, key=lambda name: -first[name]), *dict.fromkeys(others)]
    rows = [
        [name, *(interval_of(list(values[m][name].values())) if name in values[m] else "" for m in metrics)]
        for name in names
    ]
    table = tabulate(rows, headers=("technique", *metrics), tablefmt="github", disable_numparse=True)
    return f"{caption}\n\n{table}" if caption else table


def _explanations(judged: Sequence[Judged]) -> list[str]:
    """Return what is known of statements that were not found to hold."""
    by_reason: dict[str, list[str]] = {}
    for one in judged:
        if one.verdict != "holds" and (one.explained or one.verdict == "does not hold"):
            by_reason.setdefault(one.explained or "Not explained yet.", []).append(
                f"{one.statement} ({one.metric})"
            )
    return [f"Not found here: {'; '.join(names)}. {reason}" for reason, names in by_reason.items()]
