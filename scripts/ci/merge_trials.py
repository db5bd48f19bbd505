#!/usr/bin/env python3
"""Write the newest trial of each question of several folders of exported trials into a folder.

scripts/ci/merge_trials.py OUT FOLDER...
"""

from __future__ import annotations

import sys
from pathlib import Path

from interp_bench.board import jsonl
from interp_bench.errors import InterpBenchError


def main(arguments: list[str]) -> int:
    """Read, merge and write; return 0, or 2 where that cannot be done."""
    if len(arguments) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    out, *folders = map(Path, arguments)
    try:
        written = jsonl.export((trial for folder in folders for trial in jsonl.read(folder)), out)
    except InterpBenchError as error:
        print(error, file=sys.stderr)
        return 2
    for path, count in written.items():
        print(f"{count:5d} trials  {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
