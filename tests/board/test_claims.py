"""Claims as text and as data."""

from __future__ import annotations

import json

from interp_bench.analysis.claims import CLAIMS, Finding, findings_of
from interp_bench.board import figures
from interp_bench.board.claims import claim_record, claims_text, command_of
from interp_bench.board.columns import WIDTH
from tests.claim_trials import SIZES, sloped, trials_of
from tests.simulated import ladder


def finding(**changes):
    fields = {"verdict": "supported", "unit": "skill", "n_of": "models", "reason": "because"}
    return Finding(**{**fields, **changes})


def test_an_effect_is_told_with_its_interval():
    assert figures.finding_text(finding(effect=0.1, low=-0.0001, high=0.25)) == "+0.100 (-0.0001 to +0.250)"
    assert figures.finding_text(finding(effect=0.0, low=-3e-7, high=0.00049)) == "+0.000 (+0.000 to +0.0005)"
    assert figures.finding_text(finding(effect=-0.0004, low=-0.0012, high=5e-6)).startswith(
        "-0.0004 (-0.001 "
    )
    assert figures.finding_text(finding()) == "-"


def test_the_table_tells_every_claim_and_below_it_why():
    found = findings_of(trials_of(sloped(0.1), ladder(SIZES)))
    text = claims_text(found, "some/trials")
    table, *rest = text.split("\n\n")
    assert [line.split()[0] for line in table.splitlines()[2:]] == [claim.name for claim in CLAIMS]
    assert "supported" in table.splitlines()[2]
    assert "5 models" in table.splitlines()[2]
    assert len(rest) == 1 + len(CLAIMS)
    for (claim, finding), part in zip(found, rest[1:], strict=True):
        assert part.splitlines()[0] == f"{claim.name}: {claim.statement}"
        assert f"  again: interp-bench claims {claim.name} --trials some/trials" in part.splitlines()
        assert finding.scope.split()[0:3] == [] or "scope: " in part
    assert max(map(len, text.splitlines())) <= WIDTH


def test_the_command_can_be_copied_whatever_the_folder_is_called():
    assert command_of(CLAIMS[0], "my trials").endswith("--trials 'my trials'")


def test_a_record_is_plain_data_with_numbers_unrounded():
    ((claim, found), *_) = findings_of(trials_of(sloped(0.1), ladder(SIZES)))
    record = json.loads(json.dumps(claim_record(claim, found, "trials"), allow_nan=False))
    assert record["effect"] == found.effect
    assert record["name"] == "larger-lms-better"
    assert record["chart"]["points"][0]["label"] == "rungs-100000"
