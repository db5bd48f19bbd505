"""Programs: the interpreter by hand, random ones of many structures, compiled ones that agree with it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import transformers

from interp_bench.errors import PlantingError
from interp_bench.model.handle import Model
from interp_bench.model.opening import open_model
from interp_bench.planting.circuit import CircuitBounds, certify_circuit
from interp_bench.planting.programs.dials import ProgramDials
from interp_bench.planting.programs.generator import accepted, draw_attributes, draw_program
from interp_bench.planting.programs.instructions import Instruction, Program
from interp_bench.planting.programs.interpreter import result, run
from interp_bench.planting.programs.patches import PatchCompiler
from interp_bench.planting.programs.plant import plant_program
from interp_bench.planting.programs.schedule import schedule
from interp_bench.registry import load_registry
from interp_bench.techniques.circuits.integrated import eap_ig
from interp_bench.tracks.planted_circuit import planted_circuit

ATTRIBUTES = tuple(
    Instruction(operation="attribute", type="category", size=3, index=index) for index in range(2)
)
BOUNDS = CircuitBounds(necessity=0.95, random_sets=10)


def program(*instructions: Instruction) -> Program:
    return Program(instructions=(*ATTRIBUTES, *instructions), n_attributes=2, size=3, length=4)


def values_of(instruction: Instruction, first: list[int], second: list[int], **kwargs: bool) -> list[float]:
    """Run one instruction on a prefix position followed by two attributes at four positions."""
    attributes = torch.tensor([[-1, *first], [-1, *second]]).T[None]
    return run(program(instruction), attributes, n_prefix=1, **kwargs)[-1][0].tolist()


def op(operation: str, arguments: tuple[int, ...], kind: str = "category", **fields: object) -> Instruction:
    size = {"category": 3, "boolean": 2, "number": 0}[kind]
    return Instruction(operation=operation, arguments=arguments, type=kind, size=size, **fields)


# ---------------------------------------------------------------- by hand


def test_shift_takes_the_value_from_steps_before() -> None:
    assert values_of(op("shift", (0,), steps=2), [0, 1, 2, 0], [0, 0, 0, 0]) == [-1, -1, -1, 0, 1]


def test_exists_says_whether_the_key_was_seen_up_to_here() -> None:
    exists = op("exists", (0, 1), "boolean")
    assert values_of(exists, [0, 1, 2, 0], [1, 1, 0, 2]) == [0, 0, 1, 0, 1]
    assert values_of(exists, [0, 1, 2, 0], [1, 1, 0, 2], causal=False) == [0, 1, 1, 1, 1]


def test_lookup_takes_the_latest_match_and_nothing_where_there_is_none() -> None:
    lookup = op("lookup", (0, 1, 0))
    assert values_of(lookup, [2, 1, 0, 2], [1, 2, 2, 0]) == [-1, -1, 2, -1, 0]


def test_count_is_one_over_one_plus_matches() -> None:
    counted = values_of(op("count", (0, 1), "number"), [1, 1, 1, 0], [1, 1, 0, 2])
    assert counted == pytest.approx([1, 1 / 2, 1 / 3, 1 / 3, 1 / 2])


def test_fraction_is_over_the_positions_of_the_program() -> None:
    share = values_of(op("fraction", (0,), "number", category=1), [1, 0, 1, 1], [0, 0, 0, 0])
    assert share == pytest.approx([0, 1, 1 / 2, 2 / 3, 3 / 4])


def test_maps_look_up_tables_and_leave_nothing_as_it_is() -> None:
    assert values_of(op("map", (0,), table=(2, 0, 0)), [0, 1, 2, 0], [0, 0, 0, 0]) == [-1, 2, 0, 0, 2]
    table = (0, 1, 2, 1, 2, 0, 2, 0, 1)
    both = op("sequence_map", (0, 1), table=table, columns=3)
    assert values_of(both, [0, 1, 2, 2], [2, 1, 0, 2]) == [-1, 2, 2, 2, 1]


def test_bins_and_thresholds_read_numbers() -> None:
    counted = Program(
        instructions=(*ATTRIBUTES, op("count", (0, 1), "number"), op("bin", (2,))),
        n_attributes=2,
        size=3,
        length=4,
    )
    attributes = torch.tensor([[-1, 1, 1, 1, 1], [-1, 0, 1, 1, 1]]).T[None]
    assert run(counted, attributes, n_prefix=1)[-1][0].tolist() == [-1, 0, 1, 2, 2]
    share = Program(
        instructions=(
            *ATTRIBUTES,
            op("fraction", (0,), "number", category=1),
            op("threshold", (2,), "boolean", bound=0.45),
        ),
        n_attributes=2,
        size=3,
        length=4,
    )
    assert run(share, attributes, n_prefix=1)[-1][0].tolist() == [0, 1, 1, 1, 1]


def test_a_cut_arc_carries_the_other_run() -> None:
    both = program(op("sequence_map", (0, 1), table=(0, 1, 2, 1, 2, 0, 2, 0, 1), columns=3))
    one, other = (torch.tensor([[[-1, -1], [a, b]]]) for a, b in ((0, 1), (2, 2)))
    values = run(both, other, n_prefix=1)
    assert result(both, run(both, one, n_prefix=1)).tolist() == [1]
    assert result(both, run(both, one, n_prefix=1, cut=[(2, 0)], other=values)).tolist() == [0]
    assert result(both, run(both, one, n_prefix=1, cut=[(2, 1)], other=values)).tolist() == [2]


# --------------------------------------------------------------- generator


def test_a_seed_gives_the_same_program_and_seeds_give_many_structures() -> None:
    drawn = [draw_program(torch.Generator().manual_seed(seed)) for seed in range(220)]
    again = draw_program(torch.Generator().manual_seed(7))
    assert again == drawn[7]
    assert len({p.structure for p in drawn}) >= 100


def test_a_program_with_an_idle_part_is_not_accepted() -> None:
    idle = op("sequence_map", (0, 1), table=(0, 0, 0, 1, 1, 1, 2, 2, 2), columns=3)
    moved = op("shift", (2,), steps=1)
    generator = torch.Generator().manual_seed(0)
    assert not accepted(program(idle, moved), generator, 4)
    busy = op("sequence_map", (0, 1), table=(0, 1, 2, 1, 2, 0, 2, 0, 1), columns=3)
    assert accepted(program(busy, moved), generator, 4)


def test_a_program_that_the_last_token_decides_is_not_accepted() -> None:
    local = op("sequence_map", (0, 1), table=(0, 1, 2, 1, 2, 0, 2, 0, 1), columns=3)
    again = op("map", (2,), table=(1, 2, 0))
    assert not accepted(program(local, again), torch.Generator().manual_seed(0), 4)


def test_attributes_are_blank_at_the_prefix() -> None:
    drawn = draw_attributes(program(op("shift", (0,), steps=1)), 5, 3, torch.Generator().manual_seed(0))
    assert drawn.shape == (5, 7, 2)
    assert bool((drawn[:, :3] == -1).all())
    assert bool((drawn[:, 3:] >= 0).all())


# --------------------------------------------------------------- schedule


@pytest.mark.parametrize("parallel", [False, True])
def test_a_schedule_respects_the_data_flow(parallel: bool) -> None:
    for seed in range(30):
        generator = torch.Generator().manual_seed(seed)
        drawn = draw_program(generator)
        times = schedule(drawn, 8, generator, parallel=parallel, n_heads=2)
        for index, number in drawn.arcs():
            source = drawn.instructions[index].arguments[number]
            if source in times:
                earlier, later = times[source], times[index]
                assert earlier < later
                assert not parallel or earlier // 2 < later // 2
        layers = list(times.values())
        assert all(layers.count(t) <= (1 if t % 2 else 2) for t in layers)


def test_a_program_too_deep_is_refused() -> None:
    generator = torch.Generator().manual_seed(0)
    deep = program(*(op("shift", (i + 1,), steps=1) for i in range(3)))
    with pytest.raises(PlantingError, match="too deep for 2 layers"):
        schedule(deep, 2, generator, parallel=False, n_heads=4)


# ---------------------------------------------------------------- compiled


def host(kind: str) -> Model:
    """Build a small random host of a kind."""
    if kind.startswith(("native", "vit")):
        return open_model(load_registry().get(kind))
    sizes = {"vocab_size": 64, "bos_token_id": 0, "eos_token_id": 0, "tie_word_embeddings": False}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if kind == "gpt2":
            config = transformers.GPT2Config(n_embd=128, n_layer=8, n_head=4, n_positions=32, **sizes)
            module = transformers.GPT2LMHeadModel(config)
        else:
            name = {"llama": "Llama", "qwen2": "Qwen2", "neox": "GPTNeoX"}[kind]
            more = {} if kind == "neox" else {"num_key_value_heads": 2}
            config = getattr(transformers, f"{name}Config")(
                hidden_size=128, num_hidden_layers=8, num_attention_heads=4, intermediate_size=256,
                max_position_embeddings=64, **sizes, **more,
            )  # fmt: skip
            module = getattr(transformers, f"{name}ForCausalLM")(config)
    spec = load_registry().get("native-30k")
    return Model(spec, module.eval().requires_grad_(False))


def agreement(model: Model, seed: int) -> float:
    """Return the share of fresh inputs on which a compiled program and the interpreter agree."""
    drawn = draw_program(torch.Generator().manual_seed(seed), n_operations=3, causal=model.transformer.causal)
    circuit = plant_program(model, drawn, seed=seed)
    pairs = circuit.pairs(64, torch.Generator().manual_seed(seed + 999))
    return float((circuit.decided(model.logits(pairs.clean)) == pairs.outcomes[:, 0]).double().mean())


def test_two_hundred_programs_agree_with_the_interpreter() -> None:
    model = host("native-900k")
    pristine = {name: weight.clone() for name, weight in model.module.state_dict().items()}
    agreements = []
    for seed in range(200):
        model.module.load_state_dict(pristine)
        agreements.append(agreement(model, seed))
    assert sum(agreements) / len(agreements) >= 0.995
    assert sum(a >= 0.99 for a in agreements) >= 0.97 * len(agreements)


@pytest.mark.parametrize("kind", ["native-rope-200k", "gpt2", "llama", "qwen2", "neox", "vit-slim-200k"])
def test_programs_agree_and_are_certified_on_every_kind(kind: str) -> None:
    agreements = [agreement(host(kind), seed) for seed in range(5)]
    assert min(agreements) >= 0.98, agreements
    model = host(kind)
    drawn = draw_program(torch.Generator().manual_seed(3), n_operations=3, causal=model.transformer.causal)
    circuit = plant_program(model, drawn, seed=3)
    certificate = certify_circuit(model, circuit, torch.Generator().manual_seed(0), BOUNDS, n_pairs=24)
    assert certificate.passed, certificate.reason


def test_patches_show_the_attributes_and_nothing_else_to_the_detectors() -> None:
    model = host("vit-slim-200k")
    drawn = draw_program(torch.Generator().manual_seed(0), n_operations=3, causal=False)
    inputs = PatchCompiler(model, drawn, torch.Generator().manual_seed(0), ProgramDials()).make_inputs()
    attributes = draw_attributes(drawn, 6, inputs.n_prefix, torch.Generator().manual_seed(1))
    images = inputs.show(attributes, torch.Generator().manual_seed(2))
    assert images.shape == (6, 3, 64, 64)
    assert bool((inputs.read(images) == attributes).all())
    first = images[:, :, :8, :8]
    response = torch.einsum("nchw,kchw->nk", first, inputs.filters)
    assert float(response.abs().max()) < 1e-3
    assert float(first.std()) > 0.3


def test_integrated_gradients_find_the_edges_of_programs() -> None:
    for seed in range(3):
        model = host("native-900k")
        circuit = plant_program(model, draw_program(torch.Generator().manual_seed(seed)), seed=seed)
        planted = planted_circuit(model, circuit, seed=seed, bounds=BOUNDS)
        valid = model.graph.valid
        scores = eap_ig(planted.problem).scores.abs()[valid]
        truth = model.graph.mask(list(circuit.edges))[valid]
        above = (scores[truth][:, None] > scores[~truth]).double().mean()
        assert above >= 0.95


def test_a_wrong_edge_fails_the_certificate() -> None:
    model = host("native-900k")
    circuit = plant_program(model, draw_program(torch.Generator().manual_seed(1)), seed=1)
    wrong = replace(circuit, edges=(*circuit.edges[:-1], ("m0", "logits")), predict=None)
    certificate = certify_circuit(model, wrong, torch.Generator().manual_seed(0), BOUNDS, n_pairs=24)
    assert "sufficiency" in certificate.reason
    assert "necessity[m0->logits]" in certificate.reason
