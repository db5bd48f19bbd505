"""A lab for techniques that fail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.isolated.lab import Lab


@pytest.fixture
def lab(fakes: ModuleType, tmp_path: Path) -> Iterator[Lab]:
    made = Lab(fakes, tmp_path)
    yield made
    made.close()
