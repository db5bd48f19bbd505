"""Each check of the contract suite catches a technique that breaks it, and lets a good one pass."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from interp_bench.errors import ContractError, Inapplicable, InterpBenchError
from interp_bench.harness.discovery import load_installed
from interp_bench.testing import CHECKS, Check, check_technique, parametrize_with_checks, science
from interp_bench.tracks.attribution import AttributionProblem, Saliency
from interp_bench.tracks.catalogue import CATALOGUE, Needs, technique

Body = Callable[[AttributionProblem], Tensor]
FACTS = {"cites": "Somebody 2020", "access": "gradients", "cost": "1 forward + 1 backward"}
LM = Needs(modalities=("lm",))


def slope(problem: AttributionProblem) -> Tensor:
    """Return the magnitude of the gradient, as a good technique gives it."""
    features = problem.features().requires_grad_()
    (found,) = torch.autograd.grad(problem.feature_logit(features).sum(), features)
    return found.abs().amax(problem.feature_axis)


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    load_installed()
    known = dict(CATALOGUE.techniques)
    yield
    CATALOGUE.techniques.clear()
    CATALOGUE.techniques.update(known)


def registered(body: Body, doc: str = "A sentence.", needs: Needs = LM, **facts: Any) -> Callable[..., Any]:
    """Register a technique that answers what ``body`` returns."""

    def attempt(problem: AttributionProblem, *, share: float = 0.5) -> Saliency:
        return Saliency(values=body(problem))

    attempt.__doc__ = doc if "share" in doc else f"{doc}\n\nArgs:\n    share: of nothing."
    return technique(**{**FACTS, **facts}, needs=needs)(attempt)


def run(name: str, function: Callable[..., Any], **given: Any) -> None:
    from interp_bench.testing.exam import Exam
    from interp_bench.testing.suite import registered_technique

    CHECKS[name](Exam(registered_technique(function), {}, **given))


# -------------------------------------------------------------- techniques that break one rule each
def short(problem: AttributionProblem) -> Tensor:
    return slope(problem)[:, :-1]


def tokens_only(problem: AttributionProblem) -> Tensor:
    if problem.model.modality == "image":
        raise Inapplicable("it has no tokens")
    return slope(problem)


def writes(problem: AttributionProblem) -> Tensor:
    weight = next(problem.model.module.parameters())
    weight.data += 1e-3
    return slope(problem)


def hooks(problem: AttributionProblem) -> Tensor:
    problem.model.module.register_forward_hook(lambda *_: None)
    return slope(problem)


def flags(problem: AttributionProblem) -> Tensor:
    next(problem.model.module.parameters()).requires_grad_(True)
    return slope(problem)


def global_state(problem: AttributionProblem) -> Tensor:
    found = slope(problem)
    torch.set_grad_enabled(False)
    return found


def black_box(problem: AttributionProblem) -> Tensor:
    with torch.no_grad():
        problem.logit(problem.inputs)
    return torch.rand(problem.shape, generator=problem.generator())


def patched(problem: AttributionProblem) -> Tensor:
    site = problem.model.sites[0]
    with problem.model.patch({site: lambda values: values * 0}):
        return black_box(problem)


class Counter:
    calls = 0


def remembers(problem: AttributionProblem) -> Tensor:
    Counter.calls += 1
    return slope(problem) + Counter.calls


def full_precision(problem: AttributionProblem) -> Tensor:
    return torch.from_numpy(problem.features().numpy()).abs().amax(problem.feature_axis)


def many(problem: AttributionProblem) -> Tensor:
    if len(problem.inputs) < 4:
        raise ValueError("too few inputs to cluster")
    return slope(problem)


def coordinate(problem: AttributionProblem) -> Tensor:
    return problem.features()[..., 1]


BROKEN: dict[str, list[tuple[Body, dict[str, Any], str]]] = {
    "check_says_where_it_comes_from": [(slope, {"cites": "no paper"}, "names nobody")],
    "check_says_what_it_costs": [(slope, {"cost": " "}, "cost is empty")],
    "check_says_what_it_does": [(slope, {"doc": "a gradient"}, "begin with one sentence")],
    "check_explains_its_arguments": [(slope, {"doc": "Half, a share."}, "does not explain share")],
    "check_answers": [(short, {}, r"on lm: saliency has shape")],
    "check_answers_on_every_modality": [(tokens_only, {"needs": Needs()}, "claims image models")],
    "check_leaves_weights_and_problem": [(writes, {}, "changed the weights of the model")],
    "check_leaves_network_state": [(hooks, {}, r"left 1 hook"), (flags, {}, "left requires_grad=True")],
    "check_leaves_process_state": [(global_state, {}, "left gradient recording off")],
    "check_uses_the_access_it_declares": [
        (slope, {"access": "forward"}, "runs 1 backward"),
        (slope, {"access": "weights"}, "runs 1 backward"),
        (black_box, {}, "runs no backward pass"),
        (patched, {"access": "activations"}, "declare 'forward'"),
    ],
    "check_costs_what_it_declares": [
        (black_box, {"cost": "none"}, "runs 1 forward and 0 backward"),
        (black_box, {}, "runs no backward pass"),
        (full_precision, {"cost": "1 forward"}, "runs no forward pass"),
    ],
    "check_answers_twice_alike": [(remembers, {}, "values differs between two calls")],
    "check_answers_in_bfloat16": [(full_precision, {}, r"on lm \(bfloat16\): raised TypeError")],
    "check_answers_the_smallest_problem": [(many, {}, r"on lm \(smallest\): raised ValueError")],
}
CASES = [(name, *case) for name, cases in BROKEN.items() for case in cases]


@pytest.mark.parametrize(
    ("name", "body", "facts", "message"), CASES, ids=[f"{name}-{body.__name__}" for name, body, *_ in CASES]
)
def test_a_technique_that_breaks_a_rule_is_caught(name, body, facts, message) -> None:
    with pytest.raises(ContractError, match=message):
        run(name, registered(body, **facts))


def test_every_check_has_a_technique_that_it_catches() -> None:
    elsewhere = {"check_knows_nothing_of_other_truths", "check_does_not_depend_on_the_basis"}
    assert BROKEN.keys() | elsewhere == CHECKS.keys()
    assert all(inspect.getdoc(check) for check in CHECKS.values())


def test_an_answer_that_is_right_on_other_plants_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    function = registered(slope)
    run("check_knows_nothing_of_other_truths", function)
    # The other plants are the plant itself, so that a good answer is right on them.
    monkeypatch.setattr(science, "OTHER_SEEDS", (0, 0, 0))
    with pytest.raises(ContractError, match=r"skill 0\.\d+ on 3 other plants that it never saw"):
        run("check_knows_nothing_of_other_truths", function)


def test_a_claim_of_invariance_is_put_to_the_test() -> None:
    claim = {"invariances": (science.RESIDUAL_ROTATION,)}
    name = "check_does_not_depend_on_the_basis"
    run(name, registered(lambda problem: problem.features().norm(dim=-1)), **claim)
    with pytest.raises(ContractError, match="after a rotation of the residual stream"):
        run(name, registered(coordinate), **claim)
    with pytest.raises(Inapplicable, match="does not claim"):
        run(name, registered(coordinate))


# ---------------------------------------------------------------------------- the suite as it is used
def test_a_good_technique_passes_and_says_what_was_skipped() -> None:
    results = check_technique(registered(slope))
    assert [result.check for result in results] == list(CHECKS)
    skipped = {result.check: result.reason for result in results if result.status == "skipped"}
    assert skipped == {"check_does_not_depend_on_the_basis": "does not claim residual_rotation"}
    assert {result.status for result in results} == {"passed", "skipped"}


def test_all_failures_are_told_at_once_but_those_expected() -> None:
    function = registered(many, cost=" ")
    with pytest.raises(ContractError, match=r"fails 2 check\(s\):\ncheck_says.*\ncheck_answers_the_smallest"):
        check_technique(function)
    expected = {"check_answers_the_smallest_problem": "it clusters", "check_says_what_it_costs": "unknown"}
    results = check_technique(function, expected_failures=expected)
    assert {r.check: r.reason for r in results if r.status == "expected"} == expected
    with pytest.raises(ContractError, match="check_answers: passes, and was expected to fail: never"):
        check_technique(function, expected_failures={**expected, "check_answers": "never"})


def test_the_decorator_makes_an_item_of_each_check() -> None:
    function = registered(slope)
    names, items = parametrize_with_checks(
        [function, "attribution/random"],
        expected_failures={function: {"check_answers": "why not"}},
        arguments={"attribution/attempt": {"share": 0.25}},
    ).args
    assert names == ("technique", "check")
    assert len(items) == 2 * len(CHECKS)
    by_id = {item.id: item for item in items}
    assert not by_id["attribution/random-answers"].marks
    assert by_id["attribution/attempt-answers"].values[1].arguments == (("share", 0.25),)
    (mark,) = by_id["attribution/attempt-answers"].marks
    assert (mark.name, mark.kwargs["reason"], mark.kwargs["strict"]) == ("xfail", "why not", True)


def test_arguments_reach_the_technique() -> None:
    seen: list[float] = []

    @technique(**FACTS, needs=LM)
    def listens(problem: AttributionProblem, *, share: float = 0.5) -> Saliency:
        """A sentence."""
        seen.append(share)
        return Saliency(values=slope(problem))

    Check(name="check_answers", arguments=(("share", 0.25),))(listens)
    assert seen == [0.25]


def test_unknown_names_are_refused_with_a_near_one() -> None:
    function = registered(slope)
    with pytest.raises(InterpBenchError, match="did you mean 'check_answers'"):
        parametrize_with_checks([function], expected_failures={function: {"check_answer": "why"}})
    with pytest.raises(InterpBenchError, match="'slope' is 0 techniques; decorate it"):
        check_technique(slope)
    with pytest.raises(InterpBenchError, match="name one as track/name"):
        check_technique("pca")
    with pytest.raises(InterpBenchError, match="no technique is called"):
        check_technique("attribution/salience")
