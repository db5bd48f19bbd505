"""How soon a page of the site answers its reader: the first click on the largest pages, in Chromium.

Run ``python benchmarks/site_in_browser.py SITE [--write benchmarks/site_in_browser.md]`` on a folder that
``interp-bench board build`` wrote, or that ``benchmarks/site.py --keep`` left.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

SECONDS = 1.0
MEASURED = ("ready", "answer", "whole", "processor")
NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")

# From the navigation to the frame in which what a click asked for has been painted. The click is the first
# thing that a reader can do: it comes as soon as the page has taken its handlers.
FIRST_CLICK = """
() => new Promise((resolve) => {
  const click = () => {
    const began = performance.now();
    const button = document.querySelector("table.sortable th.n button, table.sortable th button");
    if (button) button.click();
    requestAnimationFrame(() => setTimeout(() => {
      const now = performance.now();
      resolve({ ready: began / 1000, answer: (now - began) / 1000, whole: now / 1000, sorted: Boolean(
        document.querySelector("th[aria-sort=ascending], th[aria-sort=descending]")) });
    }));
  };
  if (document.readyState === "complete") click();
  else addEventListener("DOMContentLoaded", () => setTimeout(click));
})
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """Seconds of one page, medians.

    Attributes:
        path: of the page.
        megabytes: of it alone.
        ready: until it takes clicks.
        answer: from a click to its effect on the screen.
        whole: both together.
        processor: of the page's own thread for all this, which hardly depends on what else runs.
    """

    path: str
    megabytes: float
    ready: float
    answer: float
    whole: float
    processor: float


def pages(site: Path) -> list[Path]:
    """Return all pages at the top, and the largest of each folder."""
    folders = [path for path in sorted(site.iterdir()) if path.is_dir() and any(path.glob("*.html"))]
    largest = [max(folder.glob("*.html"), key=lambda path: path.stat().st_size) for folder in folders]
    return [*sorted(site.glob("*.html")), *largest]


def measure(site: Path, repeats: int) -> Iterator[Timed]:
    """Yield each page, opened ``repeats`` times in a browser that has nothing stored."""
    program = next(filter(None, map(shutil.which, NAMES)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for path in pages(site):
            runs = [first_click(browser, path) for _ in range(repeats)]
            assert all(run["sorted"] for run in runs), path
            yield Timed(
                path=path.relative_to(site).as_posix(),
                megabytes=path.stat().st_size / 1e6,
                **{name: statistics.median(run[name] for run in runs) for name in MEASURED},
            )
        browser.close()


def first_click(browser: Any, path: Path) -> dict[str, Any]:
    """Open a page and return the seconds of its first click."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    inspector = context.new_cdp_session(page)
    inspector.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.add_init_script(f"window.firstClick = ({FIRST_CLICK})();")
    page.goto(path.resolve().as_uri(), wait_until="load")
    found: dict[str, Any] = page.evaluate("() => window.firstClick")
    metrics = inspector.send("Performance.getMetrics")["metrics"]
    found["processor"] = next(one["value"] for one in metrics if one["name"] == "TaskDuration")
    context.close()
    return found


def report(rows: list[Timed], repeats: int) -> str:
    """Return the page of results."""
    lines = [
        f"| {row.path} | {row.megabytes:.2f} | {row.ready:.2f} | {row.answer:.2f} | {row.whole:.2f} "
        f"| {row.processor:.2f} |"
        for row in sorted(rows, key=lambda row: -row.whole)
    ]
    worst = max(row.whole for row in rows)
    return (
        "# The first click on a page of the site\n\n"
        "Written by `python benchmarks/site_in_browser.py SITE --write benchmarks/site_in_browser.md`, on "
        f"the site of `benchmarks/site.py --keep`. Seconds, medians of {repeats} runs in headless Chromium. "
        f"The click sorts the first table. Slowest: {worst:.2f} s, bar {SECONDS:g} s. Processor time is of "
        "the page's own thread, its charts included.\n\n"
        "| page | MB | until ready | click to effect | both | processor |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: |\n" + "\n".join(lines) + "\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("site", type=Path, help="folder of the site")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--write", type=Path, help="write the page here too")
    options = parser.parse_args()
    text = report(list(measure(options.site, options.repeats)), options.repeats)
    print(text)
    if options.write:
        options.write.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
