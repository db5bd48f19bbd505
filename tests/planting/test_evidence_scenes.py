"""Where patterns stand and what stands beside them is what the scene says."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from interp_bench.errors import PlantingError
from interp_bench.model.opening import open_model
from interp_bench.model.projection import weight_of
from interp_bench.planting.evidence.alphabet import Alphabet, TokenSampler
from interp_bench.planting.evidence.base import DECOY, NONE, Evidence, Scene, draw_classes
from interp_bench.planting.evidence.certify import certify_evidence
from interp_bench.planting.evidence.images import make_stamps
from interp_bench.planting.evidence.plant import plant_evidence
from interp_bench.planting.evidence.transformer import EvidenceDials
from interp_bench.planting.tokens import N_PREFIX
from interp_bench.registry import load_registry


def sampler(scene: Scene) -> TokenSampler:
    """Markers 10 to 15, decoys 20 to 22, all else 30 to 49."""
    alphabet = Alphabet(
        prefix=torch.arange(N_PREFIX),
        markers=torch.arange(10, 16).view(3, 2),
        outputs=torch.arange(3),
        decoys=torch.arange(20, 23),
        fillers=torch.arange(30, 50),
    )
    return TokenSampler(alphabet=alphabet, scene=scene, device=torch.device("cpu"))


def test_copies_that_stand_together_form_one_span_of_one_pattern() -> None:
    draw = sampler(Scene(length=16, copies=3, decoys=2, together=True))
    shown = draw(torch.tensor([[1, 2]] * 200), torch.Generator().manual_seed(0))
    starts = set()
    for tokens, masks in zip(shown.inputs, shown.masks, strict=True):
        for group, mask in enumerate(masks):
            places = mask.nonzero().flatten().tolist()
            assert places == list(range(places[0], places[0] + 3))
            assert set((tokens[mask] - 10).div(2, rounding_mode="floor").tolist()) == {group + 1}
            starts.add(places[0])
        assert int(((tokens >= 20) & (tokens < 23)).sum()) == 2
        assert tokens[-1] >= 30
    assert starts == set(range(N_PREFIX, 16 - 3))


def test_spans_that_do_not_fit_are_refused() -> None:
    with pytest.raises(PlantingError, match="3 spans of 4 tokens"):
        sampler(Scene(length=16, copies=4, together=True))(torch.zeros(1, 3).long(), torch.Generator())


def test_a_decoy_takes_the_place_of_a_pattern_and_changes_nothing_else() -> None:
    draw = sampler(Scene(length=16, copies=2))
    shown = draw(torch.tensor([[0], [1]]), torch.Generator().manual_seed(1))
    decoy = draw(torch.full((2, 1), DECOY), torch.Generator().manual_seed(1))
    evidence = shown.masks[:, 0]
    assert torch.equal(shown.inputs != decoy.inputs, evidence)
    assert bool(((decoy.inputs[evidence] >= 20) & (decoy.inputs[evidence] < 23)).all())
    assert not decoy.masks.any()


def stamps(scene: Scene):
    return make_stamps(
        4, size=64, cell=4, tiles=2, stride=4, offset=0, scene=scene,
        generator=torch.Generator().manual_seed(0), device=torch.device("cpu"), dtype=torch.float32,
    )  # fmt: skip


def test_patterns_stand_near_the_centre_where_the_scene_says_so_and_decoys_anywhere() -> None:
    classes = torch.zeros(300, 1, dtype=torch.long)
    place = torch.arange(64) + 0.5 - 32
    spread = {}
    for share in (0.05, float("inf")):
        masks = stamps(Scene(spread=share))(classes, torch.Generator().manual_seed(2)).masks[:, 0]
        middle = (masks.any(1) * place).sum(1) / 8
        spread[share] = float(middle.std()) / 64
    # Uniform corners 0, 4, ..., 56 have a standard deviation of 4 * sqrt((15**2 - 1) / 12) pixels.
    assert spread[float("inf")] == pytest.approx(4 * (224 / 12) ** 0.5 / 64, rel=0.1)
    assert spread[0.05] == pytest.approx(0.05, rel=0.2)


def test_the_background_is_as_noisy_as_the_scene_says() -> None:
    none = torch.full((20, 1), NONE)
    for white in (0.0, 0.7):
        drawn = stamps(Scene(white=white, decoys=0))(none, torch.Generator().manual_seed(3)).inputs
        smooth = stamps(Scene(white=0.0, decoys=0))(none, torch.Generator().manual_seed(3)).inputs
        if white == 0:
            assert float((drawn[..., 1:] - drawn[..., :-1]).std()) < 0.1
        else:
            assert float((drawn - smooth)[:1].std()) == pytest.approx(white, rel=0.1)


def planted(name: str, **scene: object) -> tuple[object, Evidence]:
    model = open_model(load_registry().get(name))
    return model, plant_evidence(model, (4,), seed=3, scene=replace(Scene(), **scene))


def test_embeddings_get_one_norm_and_the_evidence_stays() -> None:
    model, evidence = planted("native-150k", even_norms=True, length=16)
    alphabet = evidence.sample.alphabet  # type: ignore[attr-defined]
    table = weight_of(model.transformer.token_embedding)  # type: ignore[attr-defined]
    used = torch.cat([alphabet.markers.flatten(), alphabet.decoys, alphabet.fillers])
    norms = table[used].norm(dim=1)
    torch.testing.assert_close(norms, norms.median().expand_as(norms), rtol=1e-4, atol=0)
    certificate = certify_evidence(model, evidence, 1)  # type: ignore[arg-type]
    assert certificate.passed, certificate.reason


@pytest.mark.parametrize("turned", [False, True])
def test_the_embedding_alone_raises_the_logit_only_where_codes_do_not_turn(turned: bool) -> None:
    model = open_model(load_registry().get("native-150k"))
    dials = EvidenceDials(turned=turned)
    evidence = plant_evidence(model, (4,), seed=3, scene=Scene(length=16), dials=dials)
    certificate = certify_evidence(model, evidence, 1)
    assert certificate.passed, certificate.reason
    alphabet = evidence.sample.alphabet  # type: ignore[attr-defined]
    tokens = alphabet.markers.flatten()
    with torch.no_grad(), model.starting_at(model.n_layers, model.embed(tokens[:, None])):
        logits = model(tokens[:, None])[:, -1, evidence.outputs]
    own = torch.arange(4).repeat_interleave(2)
    # With the code of the next pattern, a marker is read as the one before it.
    raised = (logits - logits.mean(0)).argmax(1)
    assert torch.equal(raised, (own - 1) % 4 if turned else own)


def test_fillers_can_be_as_uneven_as_words() -> None:
    def counts(zipf: float) -> torch.Tensor:
        none = torch.full((200, 1), NONE)
        drawn = sampler(Scene(length=24, decoys=0, zipf=zipf))(none, torch.Generator().manual_seed(0)).inputs
        return torch.bincount(drawn[:, N_PREFIX:].flatten(), minlength=50)[30:].double()

    even, uneven = counts(0.0), counts(1.0)
    assert float(even.max() / even.min()) < 2
    # The first of 20 stands 20 times as often as the last.
    expected = float(1 / (1 / torch.arange(11, 21)).mean())
    assert float(uneven[0] / uneven[10:].mean()) == pytest.approx(expected, rel=0.3)


@pytest.mark.parametrize("name", ["native-150k", "vit-slim-200k", "convnext-slim-20k"])
def test_a_pattern_raises_the_outputs_that_its_effects_say(name: str) -> None:
    model = open_model(load_registry().get(name))
    effects = torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [2.0, -1.0, 0]])
    evidence = plant_evidence(model, (3, 1), seed=4, effects=effects)
    generator = torch.Generator().manual_seed(5)
    classes = draw_classes(48, (3,), generator)
    rise = []
    for extra in (3, NONE):
        generator = torch.Generator().manual_seed(6)
        shown = torch.cat([classes, torch.full((48, 1), extra)], dim=1)
        with torch.no_grad():
            rise.append(evidence.read(model(evidence.sample(shown, generator).inputs)).double())
    gain = float((rise[1].gather(1, classes) - rise[1].mean(1, keepdim=True)).mean()) * 1.5
    moved = (rise[0] - rise[1]).mean(0) / gain
    torch.testing.assert_close(moved, effects[3].double(), atol=0.35, rtol=0)
