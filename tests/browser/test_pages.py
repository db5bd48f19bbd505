"""Every kind of page loads, draws, fits a phone, is readable for all, and asks for nothing outside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import PHONE, PICTURED, Visit, kinds

pytestmark = pytest.mark.xdist_group("browser")

_SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
_SERIOUS = ("serious", "critical")


def test_every_kind_of_page_draws_its_charts_without_a_fault(site: Path, visit: Visit) -> None:
    pages = kinds(site)
    assert {"index.html", "truth.html", "models.html"} <= set(pages)
    watched = visit()
    drawn = 0
    for path in pages:
        page = watched.open(path)
        assert page.title().endswith("interp-bench")
        assert page.locator("h1").count() == 1, path
        drawn += watched.draw()
    assert drawn >= 4
    assert all(address.startswith(("file:", "data:", "blob:")) for address in watched.requests)


def test_pictures_of_answers_stand_on_the_page_of_their_technique(visit: Visit) -> None:
    watched = visit()
    for track, technique in sorted({(track, technique) for _, track, technique in PICTURED}):
        page = watched.open(f"techniques/{track}.{technique}.html")
        pictures = page.locator(".pictures figure.chart")
        wanted = [kind for kind, *of in PICTURED if tuple(of) == (track, technique)]
        assert pictures.count() == len(wanted)
        watched.draw()
        for n in range(len(wanted)):
            drawing = pictures.nth(n).get_by_role("img").first
            assert "where 0 is guessing and 1 is the truth" in (drawing.get_attribute("aria-label") or "")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_scrolls_sideways_on_a_phone(site: Path, visit: Visit, theme: str) -> None:
    watched = visit(PHONE, theme)
    wide = {}
    for path in kinds(site):
        page = watched.open(path)
        watched.draw()
        if (over := page.evaluate(_SIDEWAYS)) > 0:
            wide[path] = over
    assert wide == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_kind_of_page_is_readable_for_all(site: Path, visit: Visit, theme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe-playwright-python")
    watched = visit(theme=theme)
    found: dict[str, list[str]] = {}
    for path in kinds(site):
        page = watched.open(path)
        watched.draw()
        if (drills := page.locator("button.drill")).count():
            drills.first.click()
            page.locator("tr.detail .trial").first.wait_for()
        # Without preload, which would ask for style sheets in a way that no browser allows from a disk.
        options = {"resultTypes": ["violations"], "preload": False}
        violations = axe.Axe().run(page, options=options).response["violations"]
        said = [_said(one) for one in violations if one["impact"] in _SERIOUS]
        if said:
            found[path] = said
    assert found == {}


def _said(violation: dict[str, Any]) -> str:
    where = "; ".join(node["html"][:120] for node in violation["nodes"][:3])
    return f"{violation['impact']} {violation['id']} x {len(violation['nodes'])}: {where}"


def test_the_themes_differ_and_the_choice_of_a_reader_stays(visit: Visit) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light, dark = visit(theme="light").open().evaluate(ground), visit(theme="dark").open().evaluate(ground)
    assert light != dark
    page = visit(theme="light").open()
    page.get_by_label("Theme").select_option("dark")
    assert page.evaluate(ground) == dark
    page.reload()
    assert page.evaluate(ground) == dark
    assert page.get_by_label("Theme").input_value() == "dark"


@pytest.mark.slow
def test_the_committed_board_draws_every_kind_of_page(committed: Path, visit: Visit) -> None:
    watched = visit(of=committed)
    for path in kinds(committed):
        watched.open(path)
        watched.draw()
    phone = visit(PHONE, of=committed)
    wide = [path for path in kinds(committed) if phone.open(path).evaluate(_SIDEWAYS) > 0]
    assert wide == []
