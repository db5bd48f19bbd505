"""The rooms that read results start without the libraries that make them."""

from __future__ import annotations

import subprocess
import sys


def test_analysis_and_board_never_import_torch():
    code = (
        "import sys, pkgutil, importlib, interp_bench.analysis, interp_bench.board\n"
        "for room in (interp_bench.analysis, interp_bench.board):\n"
        "    for module in pkgutil.iter_modules(room.__path__, room.__name__ + '.'):\n"
        "        importlib.import_module(module.name)\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
