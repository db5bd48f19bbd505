"""Claims as text: a table of verdicts, and below it what each rests on and how to compute it again."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from interp_bench.analysis.claims import Claim, Finding
from interp_bench.board import columns, figures

LEGEND = """\
effect: with its 95% interval, in the unit that is told below. The interval takes techniques and models as
       drawn from many, since techniques on one model share what makes it hard. n: what it rests on.
verdict: by the bounds that are told below, each claim by itself; undecided is not refuted."""


def claims_text(found: Sequence[tuple[Claim, Finding]], trials: str) -> str:
    """Return the claims as text of at most ``columns.WIDTH`` columns where names allow.

    Args:
        found: claims with their findings.
        trials: folder of the trials that they rest on, as the command line names it.
    """
    rows = [
        [
            claim.name,
            finding.verdict,
            figures.finding_text(finding),
            _count(finding),
            finding.scope or figures.NOTHING,
        ]
        for claim, finding in found
    ]
    table = columns.fitted(["claim", "verdict", "effect", "n", "scope"], rows)
    return "\n\n".join([table, LEGEND, *(_details(claim, finding, trials) for claim, finding in found)])


def claim_record(claim: Claim, finding: Finding, trials: str) -> dict[str, Any]:
    """Return a claim and its finding as plain data, numbers unrounded."""
    words = {name: getattr(claim, name) for name in ("name", "statement", "statistic", "bounds", "needs")}
    return {**words, **asdict(finding), "command": command_of(claim, trials)}


def command_of(claim: Claim, trials: str) -> str:
    """Return the command that computes the finding again."""
    return f"interp-bench claims {claim.name} --trials {shlex.quote(trials)}"


def _count(finding: Finding) -> str:
    return f"{finding.n} {finding.n_of}" if finding.n else figures.NOTHING


def _details(claim: Claim, finding: Finding, trials: str) -> str:
    lines = [f"{claim.name}: {claim.statement}"]
    parts = {
        finding.verdict: finding.reason,
        "effect": finding.unit,
        "measured by": claim.statistic,
        "bounds": claim.bounds,
        "scope": finding.scope,
    }
    lines += [_wrapped(f"{name}: {text}") for name, text in parts.items() if text]
    # Not wrapped, so that it can be copied.
    return "\n".join([*lines, f"  again: {command_of(claim, trials)}"])


def _wrapped(text: str) -> str:
    return textwrap.fill(
        text, columns.WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False
    )
