"""What the site costs to build: seconds, memory and bytes, for 100,000 simulated trials.

Run ``python benchmarks/site.py [--trials N] [--write benchmarks/site.md]``.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from interp_bench.board.jsonl import line
from interp_bench.harness.trial import CheckNumbers, Trial

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.simulated import SimulatedModel, SimulatedTechnique, ladder, simulate

TRACKS = ("attribution", "circuits", "concepts", "features", "triggers")
SECONDS, MEGABYTES, PAGE_MEGABYTES = 10.0, 300.0, 3.0
CHECK = CheckNumbers(value=0.99, relation=">=", bound=0.95, passed=True)
CERTIFICATE = dict.fromkeys(("sufficiency", "necessity[a]", "necessity[b]", "inertness", "near"), CHECK)

MEASURED = """
import json, resource, sys, time
from pathlib import Path
began, worked = time.perf_counter(), time.process_time()
from interp_bench.board.site.build import build
built = build(Path(sys.argv[1]), Path(sys.argv[2]))
of = {"self": resource.RUSAGE_SELF, "children": resource.RUSAGE_CHILDREN}
print(json.dumps({
    "seconds": time.perf_counter() - began,
    "processor": time.process_time() - worked,
    "megabytes": resource.getrusage(of["self"]).ru_maxrss / 1024,
    "beside": resource.getrusage(of["children"]).ru_maxrss / 1024,
    "beside_seconds": sum(resource.getrusage(of["children"])[:2]),
    "pages": built.pages, "files": built.files, "bytes": built.bytes,
}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heaviest:
    """The page that loads most: its path, its own size, and with everything that it loads (MB)."""

    path: str
    own: float
    whole: float


def board(count: int, techniques: int = 100) -> Iterator[Trial]:
    """Yield at least ``count`` trials of techniques that fall with size, on 50 models and 5 tasks a track."""
    models: list[SimulatedModel] = []
    for name, modality, rungs in (
        ("llama", "lm", 13),
        ("neox", "lm", 13),
        ("vit", "image", 12),
        ("resnet", "image", 12),
    ):
        sizes = [int(10 ** (4 + 5 * step / (rungs - 1))) for step in range(rungs)]
        models += ladder(sizes, name=name, modality=modality)
    seeds = -(-count // (techniques * 5 * len(models)))
    generator = np.random.default_rng(0)
    for number in range(techniques):
        track = TRACKS[number % len(TRACKS)]
        one = SimulatedTechnique(name=f"technique_{number:03d}", track=track, seconds=0.01 * 1.1**number)
        strength = 0.3 + 0.7 * float(generator.random())
        yield from simulate(
            lambda _, __, model, s=strength: s - 0.08 * max(0.0, np.log10(model.params) - 5),  # type: ignore[misc]
            models=models,
            techniques=[one],
            tasks=[f"task_{task}" for task in range(5)],
            seeds=seeds,
            generator=generator,
        )


def write(trials: Iterator[Trial], folder: Path) -> int:
    """Write trials as they are exported, each with a certificate; return how many."""
    files = {track: (folder / f"{track}.jsonl").open("w", encoding="utf-8") for track in TRACKS}
    count = 0
    for trial in trials:
        files[trial.track].write(line(trial.model_copy(update={"certificate": CERTIFICATE})) + "\n")
        count += 1
    for file in files.values():
        file.close()
    return count


def heaviest(site: Path) -> Heaviest:
    """Return the page that is largest with the styles and scripts that it loads."""
    found = []
    for page in sorted(site.rglob("*.html")):
        text = page.read_text(encoding="utf-8")
        loaded = {page.parent / name for name in re.findall(r'(?:src|href)="([^"#]+\.(?:js|css))"', text)}
        whole = page.stat().st_size + sum(path.stat().st_size for path in loaded)
        found.append((whole / 1e6, page.stat().st_size / 1e6, page.relative_to(site).as_posix()))
    whole, own, path = max(found)
    return Heaviest(path=path, own=own, whole=whole)


def report(count: int, measured: dict[str, float], page: Heaviest) -> str:
    """Return the page of results."""
    rows = [
        ("wall clock, s", f"{measured['seconds']:.1f}", f"{SECONDS:g}"),
        ("load of the machine before it began, processes a core", f"{measured['load']:.1f}", "-"),
        ("processor time, s", f"{measured['processor']:.1f}", "-"),
        ("peak memory, MB", f"{measured['megabytes']:.0f}", f"{MEGABYTES:g}"),
        (
            "the process beside it that bundles Vega: processor time, s",
            f"{measured['beside_seconds']:.1f}",
            "-",
        ),
        ("the same: peak memory, MB", f"{measured['beside']:.0f}", "-"),
        (
            f"largest page with all that it loads, MB ({page.path})",
            f"{page.whole:.2f}",
            f"{PAGE_MEGABYTES:g}",
        ),
        ("of it the page itself, MB", f"{page.own:.2f}", "-"),
        ("pages", f"{measured['pages']:,}", "-"),
        ("files", f"{measured['files']:,}", "-"),
        ("site, MB", f"{measured['bytes'] / 1e6:.0f}", "-"),
    ]
    table = "\n".join(
        ["| measured | value | bar |", "| --- | ---: | ---: |", *(f"| {a} | {b} | {c} |" for a, b, c in rows)]
    )
    return (
        f"# The site from {count:,} simulated trials\n\nWritten by `python benchmarks/site.py --write "
        "benchmarks/site.md`. The trials are read from JSON lines; memory is that of the process, start and "
        f"imports included.\n\n{table}\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--write", type=Path, help="write the page here too")
    parser.add_argument("--keep", type=Path, help="leave trials and site in this folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = options.keep or Path(scratch)
        (place / "trials").mkdir(parents=True, exist_ok=True)
        count = write(board(options.trials), place / "trials")
        load = os.getloadavg()[0] / (os.cpu_count() or 1)
        command = [sys.executable, "-c", MEASURED, str(place / "trials"), str(place / "site")]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        measured = json.loads(done.stdout) | {"load": load}
        text = report(count, measured, heaviest(place / "site"))
    print(text)
    if options.write:
        options.write.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
