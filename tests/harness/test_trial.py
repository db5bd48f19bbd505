"""Trials are frozen, strict and free of torch; skill is floor and ceiling to 0 and 1."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from interp_bench.harness.trial import Trial, skill_of

if TYPE_CHECKING:
    from tests.conftest import MakeTrial


def test_skill_is_0_at_the_floor_and_1_at_the_ceiling() -> None:
    assert skill_of(0.3, 0.3, 0.9) == 0.0
    assert skill_of(0.9, 0.3, 0.9) == 1.0
    assert skill_of(0.6, 0.3, 0.9) == pytest.approx(0.5)
    assert skill_of(0.0, 0.3, 0.9) < 0


def test_skill_has_the_same_sign_where_lower_is_better() -> None:
    assert skill_of(2.0, 4.0, 0.0) == pytest.approx(0.5)
    assert skill_of(6.0, 4.0, 0.0) == pytest.approx(-0.5)


def test_skill_needs_something_to_measure() -> None:
    with pytest.raises(ZeroDivisionError):
        skill_of(0.5, 0.5, 0.5)


def test_a_trial_is_frozen(make_trial: MakeTrial) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        make_trial().skill = 1.0


def test_unknown_fields_are_refused(make_trial: MakeTrial) -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        Trial.model_validate({**make_trial().model_dump(), "colour": "blue"})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_scores_that_are_not_finite_are_refused(make_trial: MakeTrial, value: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        make_trial(scores={"mcc": value})


def test_names(make_trial: MakeTrial) -> None:
    trial = make_trial()
    assert trial.name == "features/dictionary[pca-tiny-0]"
    assert trial.cell == ("features/pca", "features/dictionary", "tiny", 0, "")
    control = make_trial(control="unplanted")
    assert control.name == "features/dictionary[pca-tiny-0-unplanted]"
    assert control.cell == (*trial.cell[:4], "unplanted")


def test_trials_from_before_there_were_controls_are_read(make_trial: MakeTrial) -> None:
    stored = make_trial().model_dump()
    del stored["control"]
    assert Trial.model_validate(stored) == make_trial()


@pytest.mark.parametrize("module", ["trial", "store", "estimate", "gates", "threads", "folders"])
def test_what_boards_read_does_not_import_torch(module: str) -> None:
    code = f"import sys, interp_bench.harness.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
