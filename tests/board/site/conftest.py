"""A small board as a site, built once for each file of tests; Vega is left out where nothing is drawn."""

from __future__ import annotations

from pathlib import Path

import pytest

from interp_bench.board import jsonl
from interp_bench.board.site import runtime
from interp_bench.board.site.build import build
from tests.small_site import CARD, EXHIBIT, NoVega, small_board


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the small board's trials."""
    folder = tmp_path_factory.mktemp("trials")
    jsonl.export(small_board(), folder)
    return folder


@pytest.fixture(scope="module")
def site(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the small board's site."""
    out = tmp_path_factory.mktemp("made") / "site"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime, "Bundling", NoVega)
        build(exported, out, exhibits=[EXHIBIT], cards=[CARD])
    return out
