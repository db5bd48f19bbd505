"""Secret seeds: by hand, from file and variable, and never where a technique could find them."""

from __future__ import annotations

import dataclasses
import os
import pickle
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
import torch

from interp_bench.errors import InterpBenchError
from interp_bench.harness.grid import Cell
from interp_bench.harness.problems import Stages, seed_for
from interp_bench.harness.seed_secret import (
    SeedSecret,
    forget_variable,
    read_secret,
    secret_paths,
)

if TYPE_CHECKING:
    from tests.harness.conftest import Bench

VALUE = b"0123456789abcdef0123456789abcdef"
SECRET = SeedSecret(value=VALUE)


def secret_cells(fakes: ModuleType, secret: SeedSecret | None, *names: str, **selection: Any) -> list[Cell]:
    grid = dataclasses.replace(fakes.grid(*(names or ("reader",)), **selection), secret=secret)
    return [cell for cell in grid.cells if cell.row.role == "technique"]


# --------------------------------------------------------------------- by hand


def test_seeds_are_the_first_31_bits_of_the_code_that_openssl_computes() -> None:
    # printf '%s' 'circuits/induction|native-30k|0' | openssl dgst -sha256 -hmac $SECRET
    assert SECRET.seed("circuits/induction", "native-30k", 0) == 0x46FE8783 >> 1 == 595_542_977
    assert SECRET.seed("circuits/induction", "native-30k", 1) == 0xB1DF7EDA >> 1
    assert SECRET.seed("circuits/induction", "native-30k", 0, "floor", 3) == 0x97B80A25 >> 1
    # printf '%s' 'interp_bench seed secret' | openssl dgst -sha256 -hmac $SECRET
    assert SECRET.commitment == "7b2d6b836214dd06"


def test_a_secret_neither_prints_nor_pickles() -> None:
    assert VALUE.decode() not in repr(SECRET)
    with pytest.raises(TypeError, match="stays in its process"):
        pickle.dumps(SECRET)


def test_torch_uses_32_bits_of_a_seed_so_that_longer_seeds_would_add_nothing() -> None:
    def drawn(seed: int) -> torch.Tensor:
        return torch.rand(4, generator=torch.Generator().manual_seed(seed))

    assert torch.equal(drawn(5), drawn(5 + 2**32))
    assert not torch.equal(drawn(5), drawn(5 + 2**30))


# --------------------------------------------------------------------- reading


def written(folder: Path, content: bytes = VALUE + b"\n", mode: int = 0o600) -> Path:
    path = folder / "secret"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_file_and_variable_give_the_same_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path)
    monkeypatch.setenv("BOARD_SECRET", VALUE.decode())
    assert read_secret("secret", tmp_path) == read_secret("env:BOARD_SECRET", tmp_path) == SECRET


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        (b"  fifteen bytes.\n", 0o600, "the secret has 14 bytes and needs 16 at least"),
        (VALUE, 0o604, "other users may read this file; run: chmod o-r "),
    ],
)
def test_a_poor_secret_is_refused_in_one_line(
    tmp_path: Path, content: bytes, mode: int, message: str
) -> None:
    written(tmp_path, content, mode)
    with pytest.raises(InterpBenchError, match=f"^--bench-seed-secret secret: {message}") as caught:
        read_secret("secret", tmp_path)
    assert "\n" not in str(caught.value)
    assert content.decode().strip() not in str(caught.value)


def test_a_secret_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InterpBenchError, match="absent: cannot read the secret: No such file"):
        read_secret("absent", tmp_path)
    with pytest.raises(InterpBenchError, match=r"\.: cannot read the secret: Is a directory"):
        read_secret(".", tmp_path)
    with pytest.raises(InterpBenchError, match="no environment variable is called 'NO_SUCH'"):
        read_secret("env:NO_SUCH", tmp_path)


def test_only_a_file_has_to_be_hidden(tmp_path: Path) -> None:
    assert secret_paths("secret", tmp_path) == (tmp_path / "secret",)
    assert secret_paths("env:NAME", tmp_path) == secret_paths("", tmp_path) == ()


FORGET = """
import os, subprocess, sys
from pathlib import Path
from interp_bench.harness.seed_secret import forget_variable
environ = Path("/proc/self/environ")
def told():
    lines = "import os; print(os.environ.get('BOARD_SECRET'))"
    inner = subprocess.check_output([sys.executable, "-c", lines], text=True)
    return b"0123456789" in environ.read_bytes(), inner.strip()
before = told()
forget_variable("env:BOARD_SECRET")
print(before, told(), "BOARD_SECRET" in os.environ)
"""


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="there is no /proc to look into")
def test_a_forgotten_variable_is_gone_from_this_process_and_those_that_it_starts() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORGET],
        env={**os.environ, "BOARD_SECRET": VALUE.decode()},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == f"(True, {VALUE.decode()!r}) (False, 'None') False"


def test_nothing_is_forgotten_but_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER", "kept")
    for source in ("", "secret", "env:NO_SUCH"):
        forget_variable(source)
    assert os.environ["OTHER"] == "kept"


# ----------------------------------------------------------------------- cells


def test_a_plant_follows_from_the_secret_and_shows_its_number_only(fakes: ModuleType) -> None:
    [cell] = secret_cells(fakes, SECRET, seeds=(1,))
    assert (cell.seed, cell.name) == (1, "numbers[reader-small-1]")
    assert cell.plant_seed == SECRET.seed("guessing/numbers", "small", 1)
    [public] = secret_cells(fakes, None, seeds=(1,))
    assert (public.plant_seed, public.seed_secret) == (1, "")


def test_keys_differ_by_secret(fakes: ModuleType) -> None:
    others = [None, SECRET, SeedSecret(value=b"another secret of the board")]
    assert len({secret_cells(fakes, secret)[0].key for secret in others}) == 3


def test_all_that_is_drawn_for_a_problem_follows_from_the_secret(fakes: ModuleType) -> None:
    [cell], [public] = secret_cells(fakes, SECRET), secret_cells(fakes, None)
    for purpose in ("floor", "row", "unplanted weights"):
        assert seed_for(cell, purpose, 2) == SECRET.seed("guessing/numbers", "small", 0, purpose, 2)
        assert seed_for(cell, purpose, 2) != seed_for(public, purpose, 2)


def test_a_technique_sees_no_seed_that_tells_the_plant(bench: Bench) -> None:
    seen: list[int] = []

    def look(problem: Any) -> Any:
        seen.append(problem.seed)
        return bench.fakes.Guess(numbers=torch.full((4,), 0.5))

    name = bench.technique(look)
    [cell] = [cell for cell in secret_cells(bench.fakes, SECRET, name) if cell.row.name == name]
    assert bench.runner.run(cell).trial.status == "ok"
    # The task itself gives its problem the seed that it was planted from.
    assert seen == [SECRET.seed("guessing/numbers", "small", 0, "technique", 0)]
    assert seen[0] not in (cell.plant_seed, cell.seed)
    [public] = [cell for cell in secret_cells(bench.fakes, None, name) if cell.row.name == name]
    bench.new_runner().run(public)
    assert seen[1] == 0


def test_another_secret_plants_another_truth_and_is_stored_by_its_commitment(bench: Bench) -> None:
    stages = Stages(bench.models.open)
    truths = {}
    for secret in (None, SECRET, SeedSecret(value=b"another secret of the board")):
        [cell] = secret_cells(bench.fakes, secret)
        planted = stages.of(cell).planted
        assert planted is not None
        truths[cell.seed_secret] = tuple(planted.truth.numbers.tolist())
        stages.drop()
    assert len(set(truths.values())) == 3
    generator = torch.Generator().manual_seed(SECRET.seed("guessing/numbers", "small", 0) + 100)
    assert truths[SECRET.commitment] == tuple(torch.rand(4, generator=generator).tolist())
    trial = bench.runner.run(secret_cells(bench.fakes, SECRET)[0]).trial
    assert (trial.seed, trial.seed_secret) == (0, SECRET.commitment)
    assert VALUE.decode() not in trial.model_dump_json()
