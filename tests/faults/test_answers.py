"""Answers that are none."""

from __future__ import annotations

import pytest

from tests.isolated.lab import Lab

ANSWERS = {
    "nothing": ("return None", "answer is a NoneType; the guessing track takes Guess"),
    "a tensor": ("return torch.zeros(4)", "answer is a Tensor; the guessing track takes Guess"),
    "a class of the same name": (
        "Guess = type('Guess', (), {})\nreturn Guess()",
        "answer is a Guess; the guessing track takes Guess",
    ),
    "the type itself": ("return Guess", "answer is a type; the guessing track takes Guess"),
    "not a number": (
        "return Guess(numbers=torch.full((4,), float('nan')))",
        "metric closeness of the answer is nan",
    ),
    "wrong shape": ("return Guess(numbers=torch.zeros(5))", r"numbers has shape \(5,\); expected \(4\)"),
    "a function": (
        "return Guess(numbers=lambda: 1)",
        r"Guess.numbers holds a function; give a torch.Tensor, a number or text",
    ),
    "an array": (
        "return Guess(numbers=np.zeros(4))",
        r"Guess.numbers holds a ndarray; give a torch.Tensor, a number or text",
    ),
    "sparse": (
        "return Guess(numbers=torch.zeros(4).to_sparse())",
        r"Guess.numbers is no ordinary tensor with values \(layout torch.sparse_coo\)",
    ),
    "without values": (
        "return Guess(numbers=torch.zeros(4, device='meta'))",
        r"Guess.numbers is no ordinary tensor with values .*",
    ),
    "larger than memory": (
        "return Guess(numbers=torch.zeros(1).expand(1 << 40))",
        r"the answer takes 4.1e\+03 GiB with Guess.numbers; at most 1 are taken",
    ),
    "nested without end": (
        "loop = []\nloop.append(loop)\nreturn Guess(numbers=loop)",
        r"Guess.numbers(\[0\]){9} is nested deeper than 8",
    ),
    "a long text": (
        "return Guess(numbers='x' * (1 << 25))",
        r"the answer holds [\d,]+ bytes beside its tensors; give tensors",
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_what_is_no_answer_is_refused(lab: Lab, name: str) -> None:
    body, reason = ANSWERS[name]
    lab.check(body, "failed", f"(ContractError: )?{reason}")


def test_an_answer_that_is_too_large_for_the_memory(lab: Lab) -> None:
    body = "return Guess(numbers=torch.zeros(1 << 26))"
    lab.check(body, "out_of_memory", "MemoryError while it answered; .*", memory_bytes=400 << 20)


def test_subclasses_of_tensors_and_conjugates_become_plain(lab: Lab) -> None:
    body = """
    class Mine(torch.Tensor): pass
    return Guess(numbers=torch.full((4,), 0.5).as_subclass(Mine).requires_grad_())
    """
    lab.check(body, "ok", "")
