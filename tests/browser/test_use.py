"""What a reader does: sort, filter, open the evidence, by mouse and by keyboard, and come back to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import Visit

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.xdist_group("browser")

EAP = "techniques/circuits.eap.html"


def column(page: Page, table: str, name: str) -> tuple[Locator, int]:
    """Return the heading of a column, and its place among the cells of a row."""
    heads = page.locator(f"#{table} thead th")
    for n in range(heads.count()):
        if heads.nth(n).inner_text().strip().lower() == name:
            return heads.nth(n), n
    raise AssertionError(f"{table} has no column {name}: {heads.all_inner_texts()}")


def values(page: Page, table: str, place: int) -> list[str]:
    """Return the shown cells of a column, from the top, by what they are sorted by."""
    return page.locator(f"#{table} tbody tr:not(.detail)").evaluate_all(
        "(rows, place) => rows.filter((row) => !row.hidden)"
        ".map((row) => row.cells[place].dataset.v ?? row.cells[place].textContent.trim())",
        place,
    )


def numbers(texts: list[str]) -> list[float]:
    return [float(text) for text in texts if text not in ("", "-")]


def test_a_heading_sorts_both_ways_and_the_address_keeps_it(visit: Visit) -> None:
    page = visit().open(EAP)
    head, place = column(page, "cells", "skill")
    for way in ("descending", "ascending"):
        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") == way
        found = numbers(values(page, "cells", place))
        assert found == sorted(found, reverse=way == "descending")
        assert len(set(found)) > 3
    shown = values(page, "cells", 0)
    page.reload()
    assert values(page, "cells", 0) == shown
    assert column(page, "cells", "skill")[0].get_attribute("aria-sort") == "ascending"


def test_a_choice_filters_and_the_address_keeps_it(visit: Visit) -> None:
    page = visit().open("models.html")
    form = page.locator("form.filters").first
    table = form.get_attribute("data-for")
    everything = values(page, table, 0)
    choice = form.locator("select").first
    options = [o for o in choice.locator("option").evaluate_all("all => all.map((o) => o.value)") if o]
    choice.select_option(options[0])
    kept = values(page, table, 0)
    assert 0 < len(kept) < len(everything)
    assert set(kept) < set(everything)
    assert str(len(kept)) in form.locator("output").inner_text()
    page.reload()
    assert values(page, table, 0) == kept
    assert page.locator("form.filters").first.locator("select").first.input_value() == options[0]
    page.locator("form.filters").first.locator("select").first.select_option("")
    assert sorted(values(page, table, 0)) == sorted(everything)
    assert "=" not in page.url.partition("#")[2]


def test_words_that_match_nothing_leave_an_empty_table_that_says_so(visit: Visit) -> None:
    page = visit().open("index.html")
    search = page.get_by_role("searchbox").first
    form = page.locator("form.filters").filter(has=page.get_by_role("searchbox")).first
    table = form.get_attribute("data-for")
    search.fill("zzz nothing")
    page.wait_for_function(f"document.querySelectorAll('#{table} tbody tr:not([hidden])').length === 0")
    assert "0" in form.locator("output").inner_text()


def test_every_number_leads_to_its_trials(visit: Visit) -> None:
    watched = visit()
    page = watched.open(EAP)
    before = len(watched.requests)
    button = page.locator("#cells button.drill").first
    assert button.get_attribute("aria-expanded") == "false"
    button.click()
    trials = page.locator("#cells tr.detail .trial")
    trials.first.wait_for()
    assert button.get_attribute("aria-expanded") == "true"
    assert trials.count() == 3
    text = trials.first.inner_text()
    for said in ("sufficiency", "average_precision", "floor", "ceiling", "python", "seconds"):
        assert said in text, said
    # The evidence came only now, and from the folder.
    assert len(watched.requests) > before
    button.click()
    assert page.locator("#cells tr.detail").count() == 0
    assert button.get_attribute("aria-expanded") == "false"


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("techniques/concepts.das.html", "timed_out", "took longer than 60 s"),
        ("techniques/features.fast_ica.html", "failed", "array must not contain infs"),
        ("techniques/circuits.eap.html", "invalid", "sufficiency 0.62"),
    ],
)
def test_what_gave_no_number_says_why(visit: Visit, path: str, status: str, reason: str) -> None:
    page = visit().open(path)
    for n in range(page.locator("#cells button.drill").count()):
        page.locator("#cells button.drill").nth(n).click()
        page.locator("#cells tr.detail").nth(n).locator(".trial").first.wait_for()
    found = page.locator("#cells .trial").filter(has_text=status)
    assert found.count() >= 1
    assert reason in "".join(found.all_text_contents())


def test_a_keyboard_is_enough(visit: Visit) -> None:
    page = visit().open(EAP)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.id === 'main'")
    head, _ = column(page, "cells", "skill")
    _tab_to(page, head.get_by_role("button"))
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    _tab_to(page, page.locator("#cells button.drill").first)
    page.keyboard.press("Enter")
    page.locator("#cells tr.detail .trial").first.wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('tr.detail') !== null")


def _tab_to(page: Page, wanted: Locator) -> None:
    for _ in range(200):
        if wanted.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError("no number of tabs leads there")


def test_links_lead_to_pages_that_are_there(site: Path, visit: Visit) -> None:
    page = visit().open()
    hrefs = page.locator("a[href]").evaluate_all("all => all.map((a) => a.getAttribute('href'))")
    pages = {href.partition("#")[0] for href in hrefs} - {""}
    assert len(pages) > 10
    assert [href for href in sorted(pages) if not (site / href).is_file()] == []


def test_one_click_from_the_first_page_tells_what_a_newcomer_asks(visit: Visit) -> None:
    """The best technique, where it stops working, what it costs, and how the truth is known."""
    page = visit().open()
    row = page.locator("#finder tbody tr", has_text="circuits").first
    assert row.count() == 1
    row.locator("a[href^='techniques/']").first.click()
    page.wait_for_url("**/techniques/circuits.*")
    text = page.locator("main").inner_text().lower()
    for said in ("where it works, and where that stops", "cost", "evidence"):
        assert said in text, said
    page.go_back()
    page.get_by_role("link", name="How do we know the truth?").click()
    page.wait_for_url("**/truth.html*")
    assert "certificates" in page.locator("main").inner_text().lower()
