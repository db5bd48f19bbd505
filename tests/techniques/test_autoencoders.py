"""Autoencoders by hand: each formula of its paper on two or three latents, with gradients."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from interp_bench.techniques.features.archetypal_autoencoder import ArchetypalAutoencoder, started
from interp_bench.techniques.features.autoencoder import (
    Autoencoder,
    Coder,
    Moment,
    Start,
    Training,
    standardised,
    steps_within,
    train,
)
from interp_bench.techniques.features.batch_topk_autoencoder import (
    BatchTopKAutoencoder,
    largest_of_batch,
    threshold,
)
from interp_bench.techniques.features.dead_latents import AUXILIARY, revival
from interp_bench.techniques.features.gated_autoencoder import GatedAutoencoder
from interp_bench.techniques.features.jumprelu_autoencoder import JumpReLU, JumpReLUAutoencoder, Step
from interp_bench.techniques.features.l1_autoencoder import L1Autoencoder
from interp_bench.techniques.features.matching_pursuit_autoencoder import MatchingPursuitAutoencoder, pursue
from interp_bench.techniques.features.matryoshka_autoencoder import MatryoshkaAutoencoder, prefixes
from interp_bench.techniques.features.topk_autoencoder import TopKAutoencoder, largest
from interp_bench.techniques.features.transcoder import Transcoder

X = torch.tensor([[2.0, 3.0]])


def hand() -> Start:
    """Two latents: ``x - b_dec`` of X is (1, 2), and the codes before activation are (5.5, 1)."""
    return Start(
        encoder=torch.tensor([[1.0, 2], [0, 1]]),
        encoder_bias=torch.tensor([0.5, -1]),
        decoder=torch.eye(2),
        decoder_bias=torch.tensor([1.0, 1]),
    )


def plain(n: int) -> Start:
    """Codes before activation are the sample itself."""
    return Start(
        encoder=torch.eye(n), encoder_bias=torch.zeros(n), decoder=torch.eye(n), decoder_bias=torch.zeros(n)
    )


def now(n: int = 2, progress: float = 1.0) -> Moment:
    return Moment(progress=progress, idle=torch.zeros(n), patience=10)


def gradients(coder: Coder, x: Tensor, moment: Moment) -> dict[str, Tensor]:
    for value in coder.tensors:
        value.requires_grad_().grad = None
    coder.loss(x, moment).backward()
    found = {name: getattr(coder, name) for name in vars(coder)}
    return {name: v.grad for name, v in found.items() if isinstance(v, Tensor) and v.grad is not None}


def test_linear_parts() -> None:
    model = L1Autoencoder(**hand(), penalty=0.0)
    assert model.pre_codes(X).tolist() == [[5.5, 1]]
    assert model.decode(torch.tensor([[5.5, 1]])).tolist() == [[6.5, 2]]


def test_l1_loss_and_gradients() -> None:
    model = L1Autoencoder(**hand(), penalty=2.0)
    # back (6.5, 2) of (2, 3): error (4.5, -1), squared 21.25; L1 norm 6.5
    assert float(model.loss(X, now())) == pytest.approx(21.25 + 2 * 6.5)
    found = gradients(model, X, now())
    # d loss / d codes = 2 * error + penalty = (11, 0); by the outer product with x - b_dec the encoder's
    assert found["encoder"].tolist() == [[11, 22], [0, 0]]
    assert found["encoder_bias"].tolist() == [11, 0]
    assert found["decoder"].tolist() == [[49.5, -11], [9, -2]]
    # 2 * error, less what the encoder takes: (11, 0) @ encoder
    assert found["decoder_bias"].tolist() == [9 - 11, -2 - 22]


def test_topk_keeps_the_largest() -> None:
    pre = torch.tensor([[3.0, -1, 2], [-5, -1, -2]])
    assert largest(pre, 1).tolist() == [[3, 0, 0], [0, 0, 0]]
    assert largest(pre, 2).tolist() == [[3, 0, 2], [0, 0, 0]]
    model = TopKAutoencoder(**hand(), k=1)
    assert model.codes(X).tolist() == [[5.5, 0]]
    # back (6.5, 1): error (4.5, -2)
    assert float(model.loss(X, now())) == pytest.approx(24.25)


def test_batch_topk_shares_latents_among_samples() -> None:
    pre = torch.tensor([[3.0, 2, 1], [0.5, -1, -2]])
    assert largest_of_batch(pre, 1).tolist() == [[3, 2, 0], [0, 0, 0]]
    assert largest_of_batch(pre, 3).tolist() == [[3, 2, 1], [0.5, 0, 0]]


def test_the_threshold_is_the_mean_over_batches_of_the_least_kept() -> None:
    pre = torch.tensor([[3.0, 2], [1, 0.5], [4, 0], [-1, -2], [9, 9]])
    # of the first two rows two are kept, the least is 2; of the next only 4 is positive; the rest is short
    assert float(threshold(pre, 1, 2)) == 3
    assert float(threshold(pre[:2], 1, 128)) == 2
    assert float(threshold(-pre.abs(), 1, 2)) == 0
    model = BatchTopKAutoencoder(**plain(2), k=1, batch=2)
    assert model.codes(pre[:4]).tolist() == [[3, 0], [0, 0], [4, 0], [0, 0]]


def test_matryoshka_sums_the_errors_of_prefixes() -> None:
    x = torch.tensor([[3.0, 2, 1]])
    model = MatryoshkaAutoencoder(**plain(3), k=3, batch=1, nested=(1, 2, 3))
    # prefixes leave (0, 2, 1), (0, 0, 1) and nothing
    assert float(model.loss(x, now(3))) == 5 + 1
    found = gradients(model, x, now(3))
    # -2 * error * code, summed over the prefixes that hold the row
    assert found["decoder"].tolist() == [[0, -12, -12], [0, 0, -4], [0, 0, 0]]
    assert prefixes(16, 4) == (2, 4, 8, 16)
    assert prefixes(3, 4) == (1, 3)


def test_jumprelu_and_step_have_the_papers_pseudo_derivatives() -> None:
    z = torch.tensor([[0.9, 3.0], [1.2, 1.9]], requires_grad=True)
    theta = torch.tensor([1.0, 2.0], requires_grad=True)
    upstream = torch.tensor([[1.0, 10], [100, 1000]])
    jump: Any = JumpReLU.apply(z, theta, 0.5)
    assert jump.tolist() == [[0, 3], [pytest.approx(1.2), 0]]
    jump.backward(upstream)
    assert z.grad is not None
    assert theta.grad is not None
    assert z.grad.tolist() == [[0, 10], [100, 0]]
    # the window of width 0.5 holds 0.9 and 1.2 of the first latent, and 1.9 of the second
    assert theta.grad.tolist() == [-1 / 0.5 * (1 + 100), -2 / 0.5 * 1000]
    z.grad = theta.grad = None
    step: Any = Step.apply(z, theta, 0.5)
    assert step.tolist() == [[0, 1], [1, 0]]
    step.backward(upstream)
    assert z.grad is None
    assert theta.grad.tolist() == [-1 / 0.5 * (1 + 100), -1 / 0.5 * 1000]


def test_jumprelu_loss_and_warm_up() -> None:
    logs = torch.tensor([1.0, 2.0]).log()
    model = JumpReLUAutoencoder(**plain(2), log_threshold=logs, penalty=0.3, bandwidth=0.5)
    x = torch.tensor([[1.2, 1.9]])
    # codes (1.2, 0): error (0, -1.9), one active latent
    assert float(model.loss(x, now())) == pytest.approx(3.61 + 0.3)
    assert float(model.loss(x, now(progress=1 / 6))) == pytest.approx(3.61 + 0.15)
    found = gradients(model, x, now())
    # through JumpReLU: -theta / eps * 2 * error; through Step: -penalty / eps; times theta for its logarithm
    first = 1.0 * (-0.3 / 0.5)
    second = 2.0 * (-2 / 0.5 * 2 * -1.9 - 0.3 / 0.5)
    torch.testing.assert_close(found["log_threshold"], torch.tensor([first, second]))


def test_gated_loss_and_gradients() -> None:
    model = GatedAutoencoder(
        **hand(),
        log_scale=torch.tensor([math.log(2.0), 0.0]),
        magnitude_bias=torch.tensor([-1.0, 1.0]),
        penalty=0.5,
    )
    # gates (5.5, 1); magnitudes (2 * 5 - 1, 2 + 1)
    assert model.codes(X).tolist() == [[9, pytest.approx(3)]]
    # back (10, 4): error (8, 1); gates give (6.5, 2): error (4.5, -1)
    assert float(model.loss(X, now())) == pytest.approx(65 + 21.25 + 0.5 * 6.5)
    found = gradients(model, X, now())
    # the auxiliary loss leaves the decoder alone: 2 * code * error of the main loss only
    torch.testing.assert_close(found["decoder"], torch.tensor([[144.0, 18], [48, 6]]))
    # gates: 2 * (4.5, -1) + penalty
    torch.testing.assert_close(found["encoder_bias"], torch.tensor([9.5, -1.5]))
    torch.testing.assert_close(found["magnitude_bias"], torch.tensor([16.0, 2]))
    torch.testing.assert_close(found["log_scale"], torch.tensor([16.0 * 10, 2 * 2]))
    shut = torch.tensor([[-9.0, 0.0]])
    assert model.codes(shut).tolist() == [[0, 0]]  # magnitudes alone would not be shut


def test_matching_pursuit_takes_the_best_atom_off_the_residual() -> None:
    decoder = torch.tensor([[1.0, 0], [0.6, 0.8], [0, 1]])
    codes, residual = pursue(torch.tensor([[3.0, 1.0]]), decoder, 2)
    # products (3, 2.6, 1): the first atom; (0, 1) is left, products (0, 0.8, 1): the third
    torch.testing.assert_close(codes, torch.tensor([[3.0, 0, 1]]))
    torch.testing.assert_close(residual, torch.zeros(1, 2))
    codes, residual = pursue(torch.tensor([[-1.0, -2.0]]), decoder, 3)
    assert codes.tolist() == [[0, 0, 0]]  # no atom points there
    model = MatchingPursuitAutoencoder(decoder=decoder, decoder_bias=torch.tensor([1.0, 0]), steps=1)
    x = torch.tensor([[4.0, 1.0]])
    assert float(model.loss(x, now(3))) == pytest.approx(1)
    found = gradients(model, x, now(3))
    # r = v - a (a.v) with v = (3, 1), a = (1, 0): d|r|^2/da = -2 ((a.v) r + (a.r) v) = -2 * 3 * (0, 1)
    torch.testing.assert_close(found["decoder"], torch.tensor([[0.0, -6], [0, 0], [0, 0]]))


def test_archetypes_are_mixtures_of_points() -> None:
    points = torch.tensor([[3.0, 0], [0, 4], [-3, 0]])
    logits = torch.tensor([[0.5, 0.25, 0.25], [0.0001, 0.9998, 0.0001]]).log()
    model = ArchetypalAutoencoder(
        encoder=torch.eye(2),
        encoder_bias=torch.zeros(2),
        logits=logits,
        relaxation=torch.tensor([[0.0, 3.0], [0.01, 0]]),
        decoder_bias=torch.zeros(2),
        points=points,
        delta=0.5,
        k=1,
    )
    with torch.no_grad():
        model.settle()
    torch.testing.assert_close(model.relaxation, torch.tensor([[0, 0.5], [0.01, 0]]))
    torch.testing.assert_close(model.archetypes[0], torch.tensor([0.75, 1 + 0.5]))
    torch.testing.assert_close(model.directions[0], torch.tensor([1.0, 2]) / 5**0.5)
    # of (0, 2) the second latent reconstructs all but the relaxation
    assert float(model.loss(torch.tensor([[0.0, 2]]), now())) == pytest.approx(0, abs=1e-3)


def test_archetypes_start_near_their_points_and_stay_within_reach_of_the_hull() -> None:
    generator = torch.Generator().manual_seed(0)
    x = standardised(torch.randn(400, 2, generator=generator))
    points = x[:6]
    coder = started(
        Start(**{**plain(2), "decoder": torch.nn.functional.normalize(points[:2], dim=1)}),
        points,
        delta=0.05,
        k=1,
    )
    nearest = torch.nn.functional.cosine_similarity(coder.archetypes, points[:2])
    assert bool((nearest > 0.95).all())
    train(coder, x, Training(expansion=1, budget=1e12, max_steps=150), generator)
    assert float(coder.relaxation.norm(dim=1).max()) <= 0.05 + 1e-6
    mixed = coder.logits.softmax(dim=1)
    torch.testing.assert_close(coder.archetypes - coder.relaxation, mixed @ points)


def test_the_transcoder_predicts_outputs_from_inputs() -> None:
    model = Transcoder(
        encoder=torch.tensor([[1.0, 2, 0], [0, 1, 1]]),
        encoder_bias=torch.tensor([-1.0, 0.5]),
        decoder=torch.eye(2),
        decoder_bias=torch.tensor([1.0, 0]),
        penalty=0.5,
    )
    sample = torch.tensor([[1.0, 1, -3, 2, 1]])  # input (1, 1, -3), output (2, 1)
    # codes relu(3 - 1, -2 + 0.5) = (2, 0); predicted (3, 0): error 1 + 1; L1 norm 2
    assert model.codes(sample).tolist() == [[2, 0]]
    assert float(model.loss(sample, now())) == pytest.approx(2 + 1)


def test_dead_latents_explain_what_is_left() -> None:
    moment = Moment(progress=0.5, idle=torch.tensor([0.0, 11, 12, 13]), patience=10)
    pre = torch.tensor([[9.0, 1, 3, 2]])
    decoder = torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], requires_grad=True)
    error = torch.tensor([[0.0, 1, 1, 1]], requires_grad=True)
    # width 4: the two largest of three dead ones, codes 3 and 2: left are (0, 1, -2, -1), squared 6
    value = revival(error, pre, decoder, moment)
    assert value is not None
    assert float(value.detach()) == pytest.approx(AUXILIARY * 6)
    value.backward()
    assert error.grad is None
    assert decoder.grad is not None
    assert decoder.grad[0].tolist() == decoder.grad[1].tolist() == [0, 0, 0, 0]
    assert revival(error, pre, decoder, now(4)) is None
    one = Moment(progress=0.5, idle=torch.tensor([0.0, 0, 0, 11]), patience=10)
    found = revival(error.detach(), pre, decoder.detach(), one)
    # one dead latent where two would be taken: half of (0, 1, 1, -1) squared
    assert found is not None
    assert float(found) == pytest.approx(AUXILIARY * 0.5 * 3)


def test_latents_are_dead_after_some_steps_without_firing() -> None:
    moment = Moment(progress=0.0, idle=torch.zeros(2), patience=2)
    for _ in range(3):
        moment.note(torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
    assert moment.dead.tolist() == [True, False]
    moment.note(torch.tensor([[0.5, 0.0]]))
    assert moment.dead.tolist() == [False, False]


@pytest.mark.parametrize(("patience", "revived"), [(0.02, True), (1.0, False)])
def test_a_latent_that_never_fires_is_brought_back(patience: float, revived: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    axes = torch.eye(4)[torch.randint(4, (600,), generator=generator)]
    x = axes * (1 + torch.rand(600, 1, generator=generator))
    start = plain(4)
    start["encoder_bias"][3] = -2.5  # no gradient reaches it through TopK
    coder = TopKAutoencoder(**start, k=1)
    train(coder, x, Training(expansion=1, budget=1e12, max_steps=600, patience=patience), generator)
    assert bool((coder.codes(x)[:, 3] > 0).any()) is revived


def test_training_is_adam_with_a_linear_end_and_a_decoder_of_unit_norm() -> None:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(50, 3, generator=generator)
    start = Start(
        encoder=torch.randn(4, 3, generator=generator),
        encoder_bias=torch.zeros(4),
        decoder=torch.nn.functional.normalize(torch.randn(4, 3, generator=generator), dim=1),
        decoder_bias=torch.zeros(3),
    )
    one = L1Autoencoder(**{k: v.clone() for k, v in start.items()}, penalty=0.1)
    train(one, x, Training(expansion=1, budget=0, max_steps=1, batch=8), torch.Generator().manual_seed(1))
    expected = _trained_by_torch(start, x)
    for name, value in expected.items():
        torch.testing.assert_close(getattr(one, name), value, rtol=1e-4, atol=1e-5)
    assert not any(value.requires_grad or value.grad is not None for value in one.tensors)


def _trained_by_torch(start: Start, x: Tensor, steps: int = 100) -> dict[str, Tensor]:
    values = {name: value.clone().requires_grad_() for name, value in start.items()}
    generator = torch.Generator().manual_seed(1)
    optimizer = torch.optim.Adam(values.values(), lr=1e-2, betas=(0.9, 0.99))
    for step in range(steps):
        batch = x[torch.randint(50, (8,), generator=generator)]
        pre = (batch - values["decoder_bias"]) @ values["encoder"].T + values["encoder_bias"]
        back = pre.relu() @ values["decoder"] + values["decoder_bias"]
        loss = (batch - back).square().sum(1).mean() + 0.1 * pre.relu().sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.param_groups[0]["lr"] = 1e-2 * min(1, 3 * (1 - step / steps))
        optimizer.step()
        with torch.no_grad():
            values["decoder"] /= values["decoder"].norm(dim=1, keepdim=True)
    return {name: value.detach() for name, value in values.items()}


def test_steps_follow_from_the_budget() -> None:
    training = Training(expansion=2, budget=6e9, max_steps=500, batch=100)
    assert steps_within(training, 100, 500) == 200
    assert steps_within(training, 10, 10) == 500
    assert steps_within(training, 10_000, 10_000) == 100


def test_all_tensors_of_a_variant_are_trained() -> None:
    logs = torch.zeros(2)
    model = JumpReLUAutoencoder(**hand(), log_threshold=logs, penalty=1.0, bandwidth=1.0)
    assert any(value is logs for value in model.tensors)
    assert len(model.tensors) == 5
    assert isinstance(model, Autoencoder)
