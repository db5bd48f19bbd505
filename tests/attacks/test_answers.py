"""Answers that are more than they seem: what is graded is plain tensors and numbers."""

from __future__ import annotations

import pytest

from tests.attacks.conftest import WORKERS, skill_without
from tests.isolated.lab import Lab

SUBCLASS = """
class Flattering(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function is torch.Tensor.sub or function is torch.Tensor.__sub__:
            return torch.zeros(4)
        return super().__torch_function__(function, types, args, kwargs or {})
return Guess(numbers=torch.full((4,), 0.5).as_subclass(Flattering))
"""

PROPERTY = """
class Flattering(Guess):
    @property
    def numbers(self):
        gc.unfreeze()
        truths = [thing for thing in gc.get_objects() if type(thing).__name__ == "GuessTruth"]
        return truths[0].numbers if truths else torch.full((4,), 0.5)
    def __init__(self):
        pass
return Flattering()
"""

REDUCED = """
class Flattering(Guess):
    def __reduce__(self):
        return os.system, ("touch MARK",)
    __reduce_ex__ = lambda self, protocol: self.__reduce__()
    __getstate__ = __reduce__
return Flattering(numbers=torch.full((4,), 0.5))
"""

LYING = """
class Flattering:
    __class__ = Guess
    def __getattribute__(self, name):
        if name == "numbers":
            return torch.full((4,), 0.5)
        return object.__getattribute__(self, name)
return Flattering()
"""

HANDLE = """
numbers = torch.full((4,), 0.5)
numbers.__dict__["__array__"] = lambda *_: 1 / 0
numbers.requires_grad_(True).register_hook(lambda gradient: 1 / 0)
return Guess(numbers=numbers)
"""


@pytest.mark.parametrize(
    "body", [SUBCLASS, REDUCED, LYING, HANDLE], ids=["tensor", "pickle", "class", "hooks"]
)
def test_an_answer_is_worth_what_its_numbers_are_worth(lab: Lab, body: str) -> None:
    mark = lab.folder / "mark"
    without = skill_without(lab)
    for isolate in ("none", *WORKERS):
        trial = lab.run(body.replace("MARK", str(mark)), isolate=isolate).trial
        assert (trial.status, trial.skill) == ("ok", without), isolate
    assert not mark.exists()


def test_a_property_is_read_where_the_truth_is_not(lab: Lab) -> None:
    without = skill_without(lab)
    skills = {how: lab.run(PROPERTY, isolate=how).trial.skill for how in ("none", *WORKERS)}
    assert skills == {"none": 1.0, "fresh": without, "warm": without}


def test_the_tensor_of_a_cheat_would_have_been_graded_well(lab: Lab) -> None:
    """The attack is real: unpacked, it makes any guess exact."""
    import torch

    class Flattering(torch.Tensor):
        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            if function in (torch.Tensor.sub, torch.Tensor.__sub__):
                return torch.zeros(4)
            return super().__torch_function__(function, types, args, kwargs or {})

    problem = lab.fakes.GuessProblem(model=None, seed=0, data=torch.zeros(1))
    truth = lab.fakes.GuessTruth(numbers=torch.rand(4, generator=torch.Generator().manual_seed(1)))
    answer = lab.fakes.Guess(numbers=torch.full((4,), 0.5).as_subclass(Flattering))
    assert lab.fakes.TRACK.score(problem, truth, answer)["closeness"] == 1.0


def test_an_error_that_is_no_text_is_told(lab: Lab) -> None:
    trial = lab.run(r"raise ValueError('\ud800')").trial
    assert (trial.status, trial.reason) == ("failed", r"ValueError: \ud800")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("Guess(numbers=torch.zeros(1).expand(1 << 40))", "the answer takes 4.1e+03 GiB"),
        ("Guess(numbers=torch.zeros(4).to_sparse())", "is no ordinary tensor"),
        ("Guess(numbers=lambda: 1)", "holds a function"),
        ("Guess(numbers=problem)", "holds a dataclass GuessProblem"),
        ("problem", "GuessProblem"),
        ("Guess(numbers='\\ud800')", "arrived damaged"),
        ("Guess(numbers=torch.full((4,), float('nan')))", ""),
        ("Guess(numbers=[[[[[[[[[[[[1]]]]]]]]]]]])", "nested deeper than 8"),
    ],
)
def test_what_is_no_answer_fails_the_trial(lab: Lab, answer: str, reason: str) -> None:
    trial = lab.run(f"return {answer}").trial
    assert trial.status == "failed"
    assert reason in trial.reason
