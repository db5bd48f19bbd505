"""Small functions keep their promises for every value: keys, trials as JSON, seeds, skill, near names."""

from __future__ import annotations

import math
import struct
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from interp_bench.board import jsonl
from interp_bench.errors import InterpBenchError, near_name, one_line, shortened
from interp_bench.harness.gates import parse_max_drop, parse_min_skill
from interp_bench.harness.keys import content_key
from interp_bench.harness.selection import parse_seeds
from interp_bench.harness.trial import CONTROLS, Trial, skill_of
from tests.fuzz import strategies
from tests.fuzz.strategies import SURROGATE, mixed_case, values, words
from tests.fuzz.trials import EXAMPLE, arguments, finite, trials

MODERATE = st.floats(-1e6, 1e6)

key_parts = st.fixed_dictionaries(
    {
        "technique": words,
        "technique_version": st.integers(1, 5),
        "technique_fingerprint": words,
        "technique_arguments": arguments,
        "floor_version": st.integers(1, 5),
        "task": st.builds(SimpleNamespace, id=words, version=st.integers(1, 5), arguments=arguments),
        "model": words,
        "model_revision": words,
        "seed": st.integers(0, 999),
        "device": words,
        "control": st.sampled_from(("", *CONTROLS)),
    }
)


def exact(value: Any) -> Any:
    """Return what tells values apart that are equal: types, bits of floats, the order of nothing."""
    if isinstance(value, dict):
        return {key: exact(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [exact(item) for item in value]
    return (type(value).__name__, struct.pack("d", value) if isinstance(value, float) else value)


def reversed_order(value: Any) -> Any:
    return dict(reversed(value.items()))


@given(key_parts)
def test_a_key_does_not_depend_on_the_order_of_arguments(parts: dict[str, Any]) -> None:
    task = parts["task"]
    turned = SimpleNamespace(id=task.id, version=task.version, arguments=reversed_order(task.arguments))
    other = {**parts, "task": turned, "technique_arguments": reversed_order(parts["technique_arguments"])}
    key = content_key(**parts)
    assert key == content_key(**other)
    assert key == content_key(
        **{**parts, "technique_arguments": MappingProxyType(parts["technique_arguments"])}
    )
    assert len(key) == 32


@given(key_parts, key_parts)
def test_a_key_changes_with_any_part(one: dict[str, Any], other: dict[str, Any]) -> None:
    key = content_key(**one)
    for name in one.keys() - {"task"}:
        different = exact(one[name]) != exact(other[name])
        assert (content_key(**{**one, name: other[name]}) != key) == different
    for name in ("id", "version", "arguments"):
        changed = SimpleNamespace(**{**vars(one["task"]), name: getattr(other["task"], name)})
        different = exact(vars(changed)) != exact(vars(one["task"]))
        assert (content_key(**{**one, "task": changed}) != key) == different


@given(trials)
def test_a_trial_comes_back_from_json_bit_for_bit(trial: Trial) -> None:
    for text in (trial.model_dump_json(), jsonl.line(trial)):
        back = Trial.model_validate_json(text)
        assert exact(back.model_dump()) == exact(trial.model_dump())
        assert back.cell == trial.cell


@given(words)
def test_a_reason_of_any_signs_can_be_stored(reason: str) -> None:
    trial = Trial(**{**EXAMPLE, "status": "failed", "reason": reason})
    assert Trial.model_validate_json(trial.model_dump_json()) == trial
    assert SURROGATE in reason or trial.reason == reason


@example("\x1c3")
@example("\u00b2")
@example("\u0663")
@example("0,\x1c1")
@example("1" * 5000)
@given(
    st.one_of(
        mixed_case(("3", "0,5,7", "5,", " 2 , 2, 1", "1000")),
        st.integers(-5, 2000).map(str),
        st.lists(st.integers(-1, 10**10), max_size=4).map(lambda seeds: ",".join(map(str, seeds))),
    )
)
def test_seeds_are_read_or_refused(text: str) -> None:
    try:
        seeds = parse_seeds(text)
    except InterpBenchError:
        assert text not in ("1", "3", "1000", "5,", "0,5,7")
    else:
        assert len(set(seeds)) == len(seeds) > 0
        assert all(0 <= seed < 10**9 for seed in seeds)
        again = ",".join(map(str, seeds)) + ","
        assert parse_seeds(again) == seeds


@given(MODERATE, MODERATE, MODERATE)
def test_skill_is_one_at_the_ceiling_and_keeps_its_sign(score: float, floor: float, ceiling: float) -> None:
    if floor == ceiling:
        with pytest.raises(ZeroDivisionError):
            skill_of(score, floor, ceiling)
        return
    assert skill_of(ceiling, floor, ceiling) == 1.0
    assert skill_of(floor, floor, ceiling) == 0.0
    skill = skill_of(score, floor, ceiling)
    # Of a metric whose sign is turned, skill is the same to the last bit.
    assert skill == skill_of(-score, -floor, -ceiling)
    assert (skill > 0) == ((score - floor) * math.copysign(1, ceiling - floor) > 0) or abs(skill) < 1e-300


@given(words | values.map(str), st.lists(words))
def test_near_names_and_short_forms_are_one_line(name: str, known: list[str]) -> None:
    hint = near_name(name, known)
    assert hint == "" or (hint.startswith(" (did you mean ") and len(hint.splitlines()) == 1)
    assert strategies.one_line(shortened(name) + hint)
    flat = one_line(name)
    assert flat.isprintable()
    flat.encode()
    assert one_line(flat) == flat


@given(values)
def test_any_value_has_a_short_form(value: Any) -> None:
    assert len(shortened(value).splitlines()) == 1


@example("half:\uff11")
@given(mixed_case(("half:0.5", "guessing/half:-1", "ceiling:1", "half:nan", "half:1e999", "::1")))
def test_bounds_are_read_or_refused(text: str) -> None:
    try:
        bound = parse_min_skill(text, ["half", "guessing/half"])
    except InterpBenchError as error:
        refused = str(error)
    else:
        assert math.isfinite(bound.bound)
        assert bound.technique in ("half", "guessing/half", "ceiling")
        return
    assert strategies.one_line(refused)


@given(mixed_case(("skill:-5%", "skill:-0.05", "skill:-0", "skill:", "skill:-1e999%", "skill:%")), finite)
def test_drops_are_read_or_refused(text: str, before: float) -> None:
    try:
        drop = parse_max_drop(text)
    except InterpBenchError as error:
        refused = str(error)
    else:
        assert math.isfinite(drop.amount)
        assert drop.amount >= 0
        assert drop.allowed(before) <= before
        return
    assert strategies.one_line(refused)
