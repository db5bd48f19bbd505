"""The libraries that draw: found, put together in a process of their own, without any address."""

from __future__ import annotations

import importlib.util
from contextlib import closing

import pytest

from interp_bench.board.site import runtime
from interp_bench.errors import InterpBenchError


def test_the_bundle_is_one_script_that_makes_one_name():
    with closing(runtime.Bundling()) as bundling:
        script = bundling.script()
    assert script.startswith("(() => {\n")
    assert script.endswith("})();\n")
    assert "window.vegaEmbed" in script
    assert 100_000 < len(script) < 1_500_000
    assert "</script" not in script.lower()


def test_a_bundle_that_breaks_is_one_line(monkeypatch):
    monkeypatch.setattr(runtime, "_BUNDLE", "print('noise'); raise SystemExit('no engine')")
    with closing(runtime.Bundling()) as bundling, pytest.raises(InterpBenchError, match=r": no engine$"):
        bundling.script()


def test_a_library_that_is_missing_is_named_with_its_remedy(monkeypatch):
    runtime.require()
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "altair" else found(name))
    with pytest.raises(InterpBenchError, match=r"pip install 'interp-bench\[site\]'"):
        runtime.require()
