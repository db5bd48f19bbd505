"""The libraries that draw the charts, as one script without any address in it."""

from __future__ import annotations

import subprocess
import sys

from interp_bench.errors import InterpBenchError

MISSING = (
    "the site needs altair, vl-convert-python and jinja2; get them with: pip install 'interp-bench[site]'"
)


def require() -> None:
    """Find the libraries of the extra ``site``.

    Raises:
        InterpBenchError: one is not installed.
    """
    from importlib.util import find_spec

    if not all(find_spec(name) for name in ("altair", "vl_convert", "jinja2")):
        raise InterpBenchError(MISSING)


_BUNDLE = """
import sys, vl_convert
sys.stdout.buffer.write(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").encode("utf-8"))
"""


class Bundling:
    """Vega, Vega-Lite and Vega-Embed, put together in a process beside this one.

    vl-convert runs a JavaScript engine for it, whose 110 MB would stay in this process to its end.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _BUNDLE], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def script(self) -> str:
        """Wait for the script and return it; it makes ``vegaEmbed`` global, and nothing else.

        Raises:
            InterpBenchError: vl-convert broke.
        """
        out, err = self._process.communicate()
        if self._process.returncode:
            last = err.decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise InterpBenchError(f"vl-convert cannot put the chart library together: {last}")
        return f"(() => {{\n{out.decode('utf-8')}\n}})();\n"

    def close(self) -> None:
        """End the process if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()
