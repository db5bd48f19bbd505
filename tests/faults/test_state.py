"""Techniques in workers that leave the model, the problem or the process changed."""

from __future__ import annotations

import pytest

from tests.isolated.lab import Lab

FINE = "return Guess(numbers=torch.full((4,), 0.5))"
NETWORK = "problem.model.module"
WEIGHT = r"changed the weights of the model \('0.weight'\); .*"

CHANGES = {
    "weights": (f"{NETWORK}[0].weight.data[0, 0] += 1", WEIGHT),
    "a buffer": (f"{NETWORK}.count.fill_(2)", r"changed the weights of the model \('count'\); .*"),
    "another weight": (
        f"{NETWORK}[0].weight = torch.nn.Parameter(torch.zeros(4, 4), requires_grad=False)",
        WEIGHT,
    ),
    "a hook": (f"{NETWORK}[0].register_forward_hook(lambda *_: None)", r"left 1 hook\(s\) on '0'; .*"),
    "training mode": (f"{NETWORK}.train()", "left the model in training mode; .*"),
    "gradient flags": (f"{NETWORK}.requires_grad_(True)", "left requires_grad=True on weight .*"),
    "gradient mode": ("torch.set_grad_enabled(False)", "left gradient recording off; .*"),
    "generators": ("torch.manual_seed(3)", "reseeded torch's global generator; .*"),
    "default dtype": (
        "torch.set_default_dtype(torch.float64)",
        "left the default dtype at .*64; .*",
    ),
    "default device": ("torch.set_default_device('meta')", "left the default device at meta; .*"),
    "threads of torch": ("torch.set_num_threads(3)", "left the number of threads at 3; .*"),
    "a handler": ("signal.signal(signal.SIGTERM, signal.SIG_IGN)", "left another handler for SIGTERM; .*"),
    "a timer": ("signal.alarm(100)", r"left a timer running that sends a signal; call signal.alarm\(0\)"),
    "the folder": ("os.chdir('/')", "left the working directory at /; .*"),
    "a folder that goes": (
        "import tempfile\npath = tempfile.mkdtemp()\nos.chdir(path)\nos.rmdir(path)",
        "left the working directory at a folder that is gone; .*",
    ),
    "standard output": ("sys.stdout = None", "left sys.stdout replaced; .*"),
    "tensors": ("problem.data.zero_()", r"changed the problem's own tensors in place \('data'\); .*"),
    "two things": (
        f"{NETWORK}.train()\nproblem.data.zero_()",
        "left the model in training mode; .*; changed the problem's own tensors in place .*",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_left_changed_has_a_message_and_harms_nobody(lab: Lab, name: str) -> None:
    body, reason = CHANGES[name]
    body = f"answer = Guess(numbers=torch.full((4,), 0.5))\n{body}\nreturn answer"
    lab.check(body, "failed", f"ContractError: {reason}")


def test_fields_of_the_problem_are_frozen(lab: Lab) -> None:
    lab.check("problem.seed = 3", "failed", "FrozenInstanceError: cannot assign to field 'seed'")


SMALL = {
    "recursion limit": "sys.setrecursionlimit(60)",
    "no collection of garbage": "gc.disable()",
    "warnings as errors": "import warnings\nwarnings.simplefilter('error')",
    "environment": "os.environ.clear()",
    "path": "sys.path.clear()",
    "its own row of the problem": "object.__setattr__(problem, 'seed', 99)",
    "generators of python and numpy": "import random\nrandom.seed(3)\nnp.random.seed(3)",
}


@pytest.mark.parametrize("name", SMALL)
def test_what_ends_with_the_worker_is_no_fault(lab: Lab, name: str) -> None:
    lab.check(f"{SMALL[name]}\n{FINE}", "ok", "")


@pytest.mark.parametrize("name", ["weights", "training mode", "a handler", "standard output"])
def test_a_warm_worker_that_is_not_as_it_was_is_not_used_again(lab: Lab, name: str) -> None:
    runner = lab.runner("warm")
    changing = lab.write(f"{CHANGES[name][0]}\n{FINE}")
    reasons = [runner.run(lab.cell(changing)).trial.reason for _ in range(2)]
    assert reasons[0] == reasons[1] != ""
    assert runner.run(lab.cell("reader")).trial.skill == 1.0
