"""Packs of trials: everything that a trial stores can be read back from its pack and its problem."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from interp_bench.board.site.links import Links
from interp_bench.board.site.packs import FIELDS, packs
from interp_bench.board.site.slim import slimmed, whole
from interp_bench.board.site.study import study_of
from interp_bench.harness.trial import CheckNumbers, Provenance
from tests.small_site import small_board


def read_packs(trials):
    study = study_of(slimmed(trials))
    links = Links({t.technique_id for t in study.trials}, study.subjects, {t.task_id for t in study.trials})
    found = {}
    for path, text in packs(study, links):
        name, content = text.removeprefix("interpBench.receive(").removesuffix(");\n").split(",", 1)
        assert path == f"{json.loads(name)}.js"
        found[json.loads(name)] = json.loads(content)
    return found


def trials_of(found, pack):
    """Return the trials of a pack as the page puts them together."""
    for values in pack["trials"]:
        trial = {**pack["same"], **dict(zip(pack["fields"], values, strict=True))}
        trial["problem"] = found[pack["problems"]][trial["problem"]]
        trial["origin"] = dict(zip(pack["provenance"], pack["origins"][trial["origin"]], strict=True))
        yield trial


def test_every_trial_is_in_its_pack_with_all_that_it_stores():
    board = small_board()
    found = read_packs(board)
    read = {}
    for name, pack in found.items():
        if name.startswith("data/trials/"):
            _, _, technique, task = name.split("/")
            for trial in trials_of(found, pack):
                read[technique, task, trial["model"], trial["seed"]] = trial
    assert len(read) == len(board)
    for trial in board:
        shown = read[
            f"{trial.track}.{trial.technique}", f"{trial.track}.{trial.task}", trial.model, trial.seed
        ]
        assert {name: shown[name] for name in FIELDS} == {name: getattr(trial, name) for name in FIELDS}
        assert shown["origin"] == {name: getattr(trial.provenance, name) for name in Provenance.model_fields}
        problem = shown["problem"]
        assert (problem["floor"], problem["ceiling"]) == (trial.floor_scores, trial.ceiling_scores)
        assert problem["certificate"] == [
            [name, check.value, check.relation, check.bound, check.passed]
            for name, check in trial.certificate.items()
        ]


def test_a_problem_is_there_once_however_many_techniques_were_asked():
    found = read_packs(small_board())
    problems = found["data/problems/circuits.planted"]
    assert len(problems) == 6 * 3  # models and seeds; four techniques share each


def test_problems_that_differ_are_kept_apart(make_trial):
    trials = [
        make_trial(technique=name, floor_scores={"mcc": floor}) for name, floor in (("a", 0.1), ("b", 0.2))
    ]
    [problems] = [content for name, content in read_packs(trials).items() if "problems" in name]
    assert Counter(problem["floor"]["mcc"] for problem in problems) == {0.1: 1, 0.2: 1}


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_a_check_without_a_finite_value_is_a_word(make_trial, value):
    check = CheckNumbers(value=value, relation=">=", bound=0.5, passed=False)
    trial = make_trial(status="invalid", reason="no", skill=None, scores={}, certificate={"near": check})
    [problems] = [content for name, content in read_packs([trial]).items() if "problems" in name]
    assert problems[0]["certificate"] == [["near", str(value), ">=", 0.5, False]]


def test_values_that_only_look_equal_are_not_shared(make_trial):
    arguments = [{"deep": True}, {"deep": 1}]
    trials = [make_trial(seed=seed, technique_arguments=held) for seed, held in enumerate(arguments)]
    found = read_packs(trials)
    [pack] = [content for name, content in found.items() if "trials" in name]
    shown = sorted(trials_of(found, pack), key=lambda trial: trial["seed"])
    assert [type(trial["technique_arguments"]["deep"]) for trial in shown] == [bool, int]


def test_slim_and_whole_trials_give_the_same_numbers(board):
    slim, plain = study_of(slimmed(board)), study_of(board)
    assert [whole(trial) for trial in slim.trials] == list(plain.trials)
    assert slim.standings == plain.standings
    assert (slim.plantings, slim.checks) == (plain.plantings, plain.checks)
    assert [finding for _, finding in slim.claims] == [finding for _, finding in plain.claims]
