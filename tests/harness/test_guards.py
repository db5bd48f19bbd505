"""Each broken contract has its own message, and harms no technique that comes after."""

from __future__ import annotations

import gc
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from interp_bench.errors import ContractError
from interp_bench.harness.guards import borrowed_generators

if TYPE_CHECKING:
    from tests.harness.conftest import Bench


@pytest.fixture(autouse=True)
def _global_state() -> Iterator[None]:
    """Fail a test after which the process is not as it was."""

    def state() -> list[Any]:
        return [
            torch.is_grad_enabled(),
            torch.get_default_dtype(),
            torch.get_num_threads(),
            torch.are_deterministic_algorithms_enabled(),
            torch.get_default_device(),
            torch.get_float32_matmul_precision(),
            torch.is_autocast_enabled("cpu"),
            torch.is_anomaly_enabled(),
            torch.get_rng_state().tolist(),
            str(np.random.get_state()),
            random.getstate(),
            os.getcwd(),
            gc.isenabled(),
            sys.getrecursionlimit(),
            np.geterr(),
            (sys.stdout, sys.stderr),
            [signal.getsignal(number) for number in signal.valid_signals()],
            signal.getitimer(signal.ITIMER_REAL)[0] > 0,
        ]

    before = state()
    yield
    assert state() == before


def _answer() -> Any:
    import interp_bench_fakes

    return interp_bench_fakes.Guess(numbers=torch.full((4,), 0.5))


def _weights(problem: Any) -> Any:
    problem.model.module[0].weight[0, 1] += 1e-6
    return _answer()


def _hidden_weights(problem: Any) -> Any:
    problem.model.module[0].weight.data.roll(1)
    problem.model.module[0].weight.data[0, 0] = 7.0
    return _answer()


def _buffer(problem: Any) -> Any:
    problem.model.module.count += 1
    return _answer()


def _new_weight(problem: Any) -> Any:
    problem.model.module[0].weight = torch.nn.Parameter(torch.ones(4, 4), requires_grad=False)
    return _answer()


def _tensor(problem: Any) -> Any:
    problem.data.zero_()
    return _answer()


def _forward_hook(problem: Any) -> Any:
    problem.model.module[0].register_forward_hook(lambda *_: None)
    return _answer()


def _forward_pre_hook(problem: Any) -> Any:
    problem.model.module.register_forward_pre_hook(lambda *_: None, with_kwargs=True)
    return _answer()


def _backward_hook(problem: Any) -> Any:
    problem.model.module[0].register_full_backward_hook(lambda *_: None)
    return _answer()


def _training(problem: Any) -> Any:
    problem.model.module.train()
    return _answer()


def _flag(problem: Any) -> Any:
    problem.model.module[0].bias.requires_grad_(True)
    return _answer()


def _gradient(problem: Any) -> Any:
    weight = problem.model.module[0].weight
    weight.requires_grad_(True)
    problem.model(torch.ones(1, 2)).sum().backward()
    weight.requires_grad_(False)
    return _answer()


def _grad_mode(problem: Any) -> Any:
    torch.set_grad_enabled(False)
    return _answer()


def _dtype(problem: Any) -> Any:
    torch.set_default_dtype(torch.float64)
    return _answer()


def _threads(problem: Any) -> Any:
    torch.set_num_threads(torch.get_num_threads() + 1)
    return _answer()


def _deterministic(problem: Any) -> Any:
    torch.use_deterministic_algorithms(not torch.are_deterministic_algorithms_enabled())
    return _answer()


def _reseed(problem: Any) -> Any:
    torch.manual_seed(12345)
    return _answer()


def _device(problem: Any) -> Any:
    answer = _answer()
    torch.set_default_device("meta")
    return answer


def _precision(problem: Any) -> Any:
    torch.set_float32_matmul_precision("medium")
    return _answer()


def _autocast(problem: Any) -> Any:
    torch.set_autocast_enabled("cpu", True)
    return _answer()


def _anomaly(problem: Any) -> Any:
    torch.autograd.set_detect_anomaly(True)
    return _answer()


def _handler(problem: Any) -> Any:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, lambda *_: None)
    return _answer()


def _timer(problem: Any) -> Any:
    signal.setitimer(signal.ITIMER_REAL, 1000.0)
    return _answer()


def _folder(problem: Any) -> Any:
    os.chdir("/")
    return _answer()


def _stream(problem: Any) -> Any:
    sys.stdout = sys.stderr
    return _answer()


def _type(problem: Any) -> Any:
    return [0.5, 0.5, 0.5, 0.5]


def _nothing(problem: Any) -> Any:
    return None


def _shape(problem: Any) -> Any:
    answer = _answer()
    return type(answer)(numbers=answer.numbers[:2])


def _not_finite(problem: Any) -> Any:
    answer = _answer()
    return type(answer)(numbers=answer.numbers * float("nan"))


BREACHES: list[tuple[Callable[[Any], Any], str]] = [
    (_weights, r"changed the weights of the model \('0.weight'\); work on a copy, or use model.patch"),
    (_hidden_weights, r"changed the weights of the model \('0.weight'\)"),
    (_buffer, r"changed the weights of the model \('count'\)"),
    (_new_weight, r"changed the weights of the model \('0.weight'\)"),
    (_tensor, r"changed the problem's own tensors in place \('data'\); clone them first"),
    (_forward_hook, r"left 1 hook\(s\) on '0'; use model.record and model.patch"),
    (_forward_pre_hook, r"left 1 hook\(s\) on the model;"),
    (_backward_hook, r"left 1 hook\(s\) on '0';"),
    (_training, r"left the model in training mode; put it back with .train\(False\)"),
    (_flag, r"left requires_grad=True on weight '0.bias'; put it back with .requires_grad_\(False\)"),
    (_gradient, r"left a gradient on weight '0.weight'; use torch.autograd.grad"),
    (_grad_mode, r"left gradient recording off; use 'with torch.no_grad\(\):'"),
    (_dtype, r"left the default dtype at torch.float64; give dtype= where tensors are made"),
    (_threads, r"left the number of threads at \d+; leave it alone"),
    (_deterministic, r"left torch.use_deterministic_algorithms changed; put it back"),
    (_reseed, r"reseeded torch's global generator; use problem.generator\(\) or problem.rng"),
    (_device, r"left the default device at meta; use 'with torch.device\(...\):'"),
    (_precision, r"left the precision of matrix products at 'medium'; put it back"),
    (_autocast, r"left autocast on; use 'with torch.autocast\(...\):'"),
    (_anomaly, r"left anomaly detection on; use 'with torch.autograd.detect_anomaly\(\):'"),
    (_handler, r"left another handler for SIGUSR1, SIGTERM; put back what signal.signal returned"),
    (_timer, r"left a timer running that sends a signal; call signal.alarm\(0\)"),
    (_folder, r"left the working directory at /; use 'with contextlib.chdir\(...\):'"),
    (_stream, r"left sys.stdout replaced; use 'with contextlib.redirect_stdout\(...\):'"),
    (_type, r"answer is a list; the guessing track takes Guess"),
    (_nothing, r"answer is a NoneType; the guessing track takes Guess"),
    (_shape, r"numbers has shape \(2,\); expected \(4\)"),
    (_not_finite, r"metric closeness of the answer is nan"),
]


@pytest.mark.parametrize(("technique", "message"), BREACHES, ids=[b[0].__name__ for b in BREACHES])
def test_a_breach_fails_with_its_message_and_harms_nobody(
    bench: Bench, technique: Callable[[Any], Any], message: str
) -> None:
    before = bench.run("reader").trial
    outcome = bench.run_function(technique)
    assert outcome.trial.status == "failed"
    assert outcome.trial.skill is None
    assert outcome.trial.scores == {}
    assert isinstance(outcome.error, ContractError)
    with pytest.raises(ContractError, match=message):
        raise outcome.error
    assert outcome.trial.reason == f"ContractError: {outcome.error}"
    after = bench.run("reader").trial
    assert (after.status, after.scores, after.skill) == (before.status, before.scores, before.skill)
    assert after.skill == 1.0


def test_an_exception_does_not_hide_the_damage_it_leaves(bench: Bench) -> None:
    def crashing(problem: Any) -> Any:
        _forward_hook(problem)
        _training(problem)
        _weights(problem)
        raise ValueError("after the damage")

    assert bench.run_function(crashing).trial.reason == "ValueError: after the damage"
    assert bench.run("reader").trial.skill == 1.0


def test_hooks_of_others_may_not_be_removed(bench: Bench) -> None:
    def sweeping(problem: Any) -> Any:
        problem.model.module[0]._forward_hooks.clear()
        return _answer()

    def planting(model: Any, seed: int) -> Any:
        model.module[0].register_forward_hook(lambda *_: None)
        return bench.fakes.plant(model, seed)

    task = bench.task(planting)
    outcome = bench.run(bench.technique(sweeping), tasks=(task,))
    text = "ContractError: removed or replaced hooks on '0' that were not its own; take off only"
    assert outcome.trial.reason.startswith(text)
    assert bench.run("reader", tasks=(task,)).trial.skill == 1.0


def test_threads_may_not_stay(bench: Bench) -> None:
    done = threading.Event()

    def threading_on(problem: Any) -> Any:
        for _ in range(2):
            threading.Thread(target=done.wait, name="sleeper").start()
        return _answer()

    outcome = bench.run_function(threading_on)
    assert outcome.trial.reason == (
        "ContractError: left 2 threads running ('sleeper'); "
        "join what it starts, and use pools in a 'with' block"
    )
    assert bench.run("reader").trial.skill == 1.0  # what one left is not charged to the next
    done.set()


def test_threads_that_are_about_to_end_are_waited_for(bench: Bench) -> None:
    def brief(problem: Any) -> Any:
        threading.Thread(target=time.sleep, args=(0.01,)).start()
        return _answer()

    assert bench.run_function(brief).trial.status == "ok"


def test_the_monitor_of_progress_bars_is_no_breach(bench: Bench) -> None:
    from tqdm import tqdm

    def shown(problem: Any) -> Any:
        with tqdm(range(3), file=open(os.devnull, "w"), mininterval=1e-6) as bar:
            tqdm.monitor_interval = 10
            list(bar)
        return _answer()

    assert bench.run_function(shown).trial.status == "ok"
    if tqdm.monitor is not None:
        tqdm.monitor.exit()


def test_small_settings_are_put_back_without_a_word(bench: Bench) -> None:
    def changing(problem: Any) -> Any:
        sys.setrecursionlimit(sys.getrecursionlimit() + 1000)
        gc.disable()
        np.seterr(all="ignore")
        return _answer()

    assert bench.run_function(changing).trial.status == "ok"


def test_a_forked_process_that_comes_back_does_not_run_the_rest_too(bench: Bench) -> None:
    def forking(problem: Any) -> Any:
        child = os.fork()
        if child == 0:
            raise ValueError("in the child")
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
        return _answer()

    assert bench.run_function(forking).trial.status == "ok"


def test_exceptions_that_are_no_exceptions_are_caught_too(bench: Bench) -> None:
    class Odd(BaseException):
        pass

    def raising(problem: Any) -> Any:
        raise Odd("strange")

    assert bench.run_function(raising).trial.reason == "Odd: strange"


def test_ctrl_c_ends_the_run(bench: Bench) -> None:
    def interrupted(problem: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.run_function(interrupted)


def test_drawing_from_the_global_generators_is_repeatable_and_leaves_them_alone(bench: Bench) -> None:
    seen = []

    def drawing(problem: Any) -> Any:
        numbers = torch.rand(4) * 0.5 + float(np.random.rand()) * 0.25 + random.random() * 0.25
        seen.append(numbers)
        return bench.fakes.Guess(numbers=numbers)

    name = bench.technique(drawing)
    first, second = bench.run(name).trial, bench.run(name).trial
    assert first.status == "ok"
    assert first.scores == second.scores
    assert torch.equal(*seen)
    assert bench.run(name, seeds=(1,)).trial.scores != first.scores


def test_borrowed_generators_are_put_back_after_an_exception() -> None:
    def draw_and_fail() -> None:
        with borrowed_generators(3):
            torch.rand(1), np.random.rand(), random.random()
            raise KeyError

    with pytest.raises(KeyError):
        draw_and_fail()
