"""What trials need of a machine, with numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import pytest

from interp_bench.harness.resources import GIB, Resources, missing_room, resources_of


def test_memory_is_a_quarter_more_than_the_largest_model_takes(fakes: ModuleType) -> None:
    small = fakes.grid("half").cells
    large = [replace(cell, spec=fakes.FakeSpec(id="seven-b", memory_gb=17.2)) for cell in small]
    # 1.0 GiB x 1.25 = 1,342,177,280 bytes; 17.2 GiB x 1.25 = 21.5 GiB = 23,085,449,216 bytes.
    assert resources_of(small, threads=1) == Resources(cpus=1, gpus=0, memory=1_342_177_280)
    assert resources_of([*small, *large], threads=3) == Resources(cpus=3, gpus=0, memory=23_085_449_216)


@pytest.mark.parametrize(("device", "cards"), [("cpu", 0), ("cuda", 1), ("cuda:1", 1), ("mps", 0)])
def test_a_trial_on_a_card_takes_one(fakes: ModuleType, device: str, cards: int) -> None:
    cells = [replace(cell, device=device) for cell in fakes.grid("half").cells]
    assert resources_of(cells, threads=1).gpus == cards


def test_a_machine_has_to_hold_all_of_it_at_once() -> None:
    needed = Resources(cpus=2, gpus=1, memory=3 * GIB)
    many_cpus, card = Resources(cpus=64, gpus=0, memory=512 * GIB), Resources(cpus=4, gpus=1, memory=2 * GIB)
    assert missing_room(needed, [many_cpus, replace(card, memory=3 * GIB)]) == ""
    assert missing_room(needed, [many_cpus, card]) == (
        "no machine of the Ray cluster can hold it: it needs 2 CPUs, 1 GPU and 3.0 GiB of memory, and the "
        "largest offers 4 CPUs, 1 GPU and 2.0 GiB of memory"
    )
    assert missing_room(needed, []).endswith("and there is none")
