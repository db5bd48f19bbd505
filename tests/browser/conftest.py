"""A browser, two sites on a disk, and pages that remember whatever went wrong on them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from interp_bench.board import jsonl
from interp_bench.cli import main
from interp_bench.harness.snapshots.stored import text_of
from tests.board.conftest import board_of
from tests.conftest import _make_trial
from tests.snapshots import snapshot

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
WIDE, PHONE = (1280, 900), (375, 740)
SECONDS = 30
"""Longest wait for anything on a page, which a busy machine may need."""

PICTURED = (
    ("pixels", "attribution", "saliency"),
    ("tokens", "attribution", "saliency"),
    ("circuit", "circuits", "eap"),
    ("cosines", "features", "pca"),
    ("subspace", "concepts", "das"),
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium of the system, without a window."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="no playwright: pip install 'interp-bench[dev]'"
    )
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no Chromium: install it with scripts/ci/browser.sh, or your system's own way")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@dataclass
class Watched:
    """A page of a site, and what went wrong on it.

    Attributes:
        page: of the browser.
        site: the folder that everything has to come from.
        faults: errors in the console or of scripts, requests that failed or left the folder.
        requests: every address that was asked for.
    """

    page: Page
    site: Path
    faults: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(SECONDS * 1000)
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        self.page.on("request", self._asked)
        self.page.on("requestfailed", lambda request: self.faults.append(f"failed: {request.url}"))

    def open(self, path: str = "index.html", state: str = "") -> Page:
        """Open a page of the site, and wait until its scripts have run."""
        self.page.goto(f"{(self.site / path).as_uri()}{state}", wait_until="load")
        return self.page

    def draw(self) -> int:
        """Bring every chart into view, wait until each is drawn, and return how many there are."""
        figures = self.page.locator("figure.chart")
        for n in range(figures.count()):
            figures.nth(n).scroll_into_view_if_needed()
            figures.nth(n).locator("svg.marks, canvas.marks").first.wait_for()
        return figures.count()

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"{message.type}: {message.text}")

    def _asked(self, request: Any) -> None:
        self.requests.append(request.url)
        if not request.url.startswith((f"{self.site.as_uri()}/", "data:", "blob:")):
            self.faults.append(f"left the folder: {request.url}")


Visit = Callable[..., Watched]


@pytest.fixture
def visit(browser: Browser, site: Path) -> Iterator[Visit]:
    """Return a function that makes a page: ``visit(size=WIDE, theme="light", of=site)``.

    Nothing may have gone wrong on it by the end of the test.
    """
    made: list[Watched] = []

    def make(size: tuple[int, int] = WIDE, theme: Any = "light", of: Path = site) -> Watched:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=theme, offline=True
        )
        made.append(Watched(context.new_page(), of))
        return made[-1]

    yield make
    for watched in made:
        watched.page.context.close()
    assert [fault for watched in made for fault in watched.faults] == []


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of a small board with trials of every status, and one picture of most kinds."""
    folder = tmp_path_factory.mktemp("small")
    jsonl.export(board_of(_make_trial), folder / "trials")
    (folder / "pictures").mkdir()
    for kind, track, technique in PICTURED:
        modality = "image" if kind == "pixels" else "lm"
        one = snapshot(kind, track=track, technique=technique, modality=modality, model=modality)
        (folder / "pictures" / one.file_name).write_text(text_of(one), "utf-8")
    return built(folder / "trials", folder / "pictures", folder / "site")


@pytest.fixture(scope="session")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of the committed trials and pictures."""
    leaderboard = ROOT / "leaderboard"
    out = tmp_path_factory.mktemp("committed") / "site"
    return built(leaderboard / "trials", leaderboard / "pictures", out)


def built(trials: Path, pictures: Path, out: Path) -> Path:
    """Build a site by its command."""
    pytest.importorskip("altair", reason="no altair: pip install 'interp-bench[site]'")
    words = ["--trials", str(trials), "--pictures", str(pictures), "--out", str(out)]
    assert main(["board", "build", *words]) == 0
    return out


def kinds(site: Path) -> list[str]:
    """Return one page of each kind: all at the top, and the fullest of each folder."""
    top = sorted(path.name for path in site.glob("*.html"))
    folders = sorted(path for path in site.iterdir() if path.is_dir() and any(path.glob("*.html")))
    fullest = [max(folder.glob("*.html"), key=lambda p: (p.stat().st_size, p.name)) for folder in folders]
    return [*top, *(path.relative_to(site).as_posix() for path in fullest)]
