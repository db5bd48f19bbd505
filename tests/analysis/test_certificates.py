"""Certificates are counted once a problem, and the closest check is the one that shows."""

from __future__ import annotations

from interp_bench.analysis.certificates import checks_of, plantings_of
from interp_bench.harness.trial import CheckNumbers


def at_least(value, bound, passed=True):
    return CheckNumbers(value=value, relation=">=", bound=bound, passed=passed)


def at_most(value, bound):
    return CheckNumbers(value=value, relation="<=", bound=bound, passed=True)


def test_problem_is_counted_once_whatever_the_number_of_techniques(make_trial):
    proof = {"sufficiency": at_least(0.99, 0.95)}
    failed = {"sufficiency": at_least(0.5, 0.95, passed=False)}
    trials = [make_trial(technique=name, seed=seed, certificate=proof) for name in "abc" for seed in range(2)]
    trials += [make_trial(technique=name, seed=2, status="invalid", certificate=failed) for name in "abc"]
    trials += [make_trial(seed=3, status="invalid", reason="no room"), make_trial(seed=4, status="skipped")]
    (planting,) = plantings_of(trials)
    assert (planting.planted, planting.certified) == (4, 2)


def test_closest_check_is_the_one_with_the_least_margin_in_its_direction(make_trial):
    trials = [
        make_trial(seed=0, certificate={"cut[a]": at_least(0.97, 0.95), "cut[b]": at_least(0.96, 0.9)}),
        make_trial(seed=1, certificate={"rest": at_most(0.01, 0.05)}),
        make_trial(seed=2, certificate={"rest": at_most(0.04, 0.05)}),
    ]
    cut, rest = checks_of(trials)
    assert (cut.check, cut.problems, cut.count, cut.worst.value) == ("cut", 1, 2, 0.97)
    assert (rest.check, rest.problems, rest.count, rest.worst.value) == ("rest", 2, 2, 0.04)


def test_uncertified_problems_do_not_enter_the_checks(make_trial):
    failed = {"sufficiency": at_least(0.5, 0.95, passed=False)}
    assert checks_of([make_trial(status="invalid", certificate=failed)]) == ()
