"""The site from its trials: all pages, packs and assets, the same bytes every time."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from interp_bench.analysis.claims import ModelFacts
from interp_bench.board import figures
from interp_bench.board.gallery import Exhibit
from interp_bench.board.site import charts, runtime
from interp_bench.board.site.cards import ModelCard
from interp_bench.board.site.claim_page import claim_page
from interp_bench.board.site.cliffs import cliffs
from interp_bench.board.site.cost import cost
from interp_bench.board.site.heat import heat
from interp_bench.board.site.links import Links
from interp_bench.board.site.model_pages import model_pages
from interp_bench.board.site.overview import overview
from interp_bench.board.site.packs import packs
from interp_bench.board.site.page import Page, Picture
from interp_bench.board.site.render import Renderer
from interp_bench.board.site.slim import read_slim
from interp_bench.board.site.study import Study, study_of
from interp_bench.board.site.technique_pages import technique_pages
from interp_bench.board.site.transfer_page import transfer_page
from interp_bench.board.site.truth import truth
from interp_bench.errors import StoreError

MARK = ".interp-bench-site"
"""An empty file by which a folder is known to be a site, so that nothing else is ever replaced."""

ASSETS = ("site.css", "state.js", "tables.js", "charts.js", "drill.js")


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What was written: how many pages, files and bytes."""

    pages: int
    files: int
    bytes: int


def build(
    trials: Path,
    out: Path,
    *,
    exhibits: Iterable[Exhibit] = (),
    cards: Iterable[ModelCard] = (),
    pictures: Iterable[Picture] = (),
    facts: Iterable[ModelFacts] = (),
) -> Built:
    """Write the site into a folder; a site that was there before is replaced as a whole.

    Args:
        trials: folder of ``*.jsonl``, or one such file.
        out: the folder.
        exhibits: what the code says of techniques.
        cards: what models.yaml says of models.
        pictures: of answers.
        facts: what models.yaml says of models, for the claims.

    Raises:
        StoreError: trials cannot be read, or the folder holds something else, or cannot be written.
    """
    _refuse(out)
    with _without_collector(), closing(runtime.Bundling()) as bundling:
        study = study_of(read_slim(trials), exhibits, cards, pictures, facts)
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as place:
                built = _write(site_files(study, bundling), Path(place) / "site")
                if out.exists():
                    out.rename(Path(place) / "old")
                (Path(place) / "site").rename(out)
        except OSError as error:
            raise StoreError(f"cannot write {out}: {error.strerror or error}") from error
    return built


def site_files(study: Study, bundling: runtime.Bundling) -> Iterator[tuple[str, str]]:
    """Yield path and content of every file of the site."""
    links = Links(
        {f"{row.track}/{row.technique}" for row in study.rows} | {t.technique_id for t in study.trials},
        study.subjects,
        {trial.task_id for trial in study.trials},
    )
    yield MARK, ""
    for name in ASSETS:
        yield f"assets/{name}", files(__package__).joinpath("assets", name).read_text(encoding="utf-8")
    renderer = Renderer({"made": _made(study)})
    for page in _pages(study, links):
        yield page.path, renderer.html(page)
    yield from packs(study, links)
    # Last, as it is made meanwhile.
    yield "assets/vega.js", bundling.script()


def _pages(study: Study, links: Links) -> Iterator[Page]:
    specs = {"curves": charts.curves(), "heat": charts.heat(), "cost": charts.cost()}
    yield overview(study, links)
    yield cliffs(study, links, specs)
    yield heat(study, links, specs)
    yield cost(study, links, specs)
    yield from model_pages(study, links)
    yield claim_page(study.claims)
    yield transfer_page(study, links, specs)
    yield truth(study, links)
    yield from technique_pages(study, links, specs)


def _made(study: Study) -> dict[str, str]:
    """Return what the foot of every page says."""
    tried = study.trials
    dates = sorted({trial.provenance.started_at[:10] for trial in tried})
    counts = (
        (len(tried), "trial"),
        (sum(row.role == "technique" for row in study.rows), "technique"),
        (len({trial.task_id for trial in tried}), "task"),
        (len(study.subjects), "model"),
        (len({trial.seed for trial in tried}), "seed"),
    )
    return {
        "counts": ", ".join(figures.plural(*count) for count in counts),
        "dates": dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}",
        "versions": ", ".join(sorted({trial.provenance.interp_bench for trial in tried})),
    }


def _refuse(out: Path) -> None:
    """Refuse to replace what is no site."""
    try:
        if out.exists() and not (out.is_dir() and ((out / MARK).exists() or not any(out.iterdir()))):
            raise StoreError(f"{out} is there and is no site; give an empty or a new folder")
    except OSError as error:
        raise StoreError(f"cannot read {out}: {error.strerror or error}") from error


def _write(content: Iterable[tuple[str, str]], folder: Path) -> Built:
    pages = files_written = size = 0
    made: set[Path] = set()
    for name, text in content:
        path = folder / name
        if path.parent not in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            made.add(path.parent)
        data = text.encode("utf-8")
        path.write_bytes(data)
        pages, files_written, size = pages + name.endswith(".html"), files_written + 1, size + len(data)
    return Built(pages=pages, files=files_written, bytes=size)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Pause the search for circles of objects: there are hardly any among some million values."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()
