"""The pages as a browser reads them: every way leads somewhere, nothing leaves the folder."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest

VOID = {"meta", "link", "input", "br", "hr", "img"}


@dataclass
class Seen(HTMLParser):
    """What a page holds."""

    ids: list[str] = field(default_factory=list)
    ways: list[str] = field(default_factory=list)
    rows: list[dict[str, str | None]] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    headings: list[int] = field(default_factory=list)
    drills: list[dict[str, str | None]] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag, attrs):
        held = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if "id" in held:
            self.ids.append(held["id"])
        self.ways += [held[name] for name in ("href", "src") if name in held]
        if tag == "tr":
            self.rows.append(held)
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if held.get("class") == "drill":
            self.drills.append(held)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another"

    def handle_data(self, data):
        (self.scripts if self.open and self.open[-1] == "script" else self.text).append(data)


def read(path: Path) -> Seen:
    seen = Seen()
    seen.feed(path.read_text(encoding="utf-8"))
    seen.close()
    assert seen.open == []
    return seen


@pytest.fixture(scope="module")
def pages(site) -> dict[str, Seen]:
    return {path.relative_to(site).as_posix(): read(path) for path in sorted(site.rglob("*.html"))}


def _name(page: Path, site: Path) -> str:
    return page.resolve().relative_to(site.resolve()).as_posix()


def test_every_way_leads_to_a_file_and_a_place_in_it(site, pages):
    for name, page in pages.items():
        for way in page.ways:
            path, _, place = way.partition("#")
            if way == "data:,":
                continue
            assert ":" not in way, f"{name} leaves the folder: {way}"
            there = (site / name).parent / path if path else site / name
            assert there.is_file(), f"{name} leads nowhere: {way}"
            if "=" in place:
                shown, _, choice = place.partition(".")
                assert f"{shown}-{choice.partition('=')[0]}" in pages[_name(there, site)].ids, (
                    f"{name}: {way}"
                )
            elif place:
                assert place in pages[_name(there, site)].ids, f"{name} leads to no place: {way}"


def test_ids_are_unique_and_headings_go_down_by_one(pages):
    for name, page in pages.items():
        assert [one for one, count in Counter(page.ids).items() if count > 1] == [], name
        assert page.headings[0] == 1, name
        assert page.headings.count(1) == 1, name
        steps = [b - a for a, b in zip(page.headings, page.headings[1:], strict=False)]
        assert max(steps, default=0) <= 1, name


def test_nothing_but_plain_scripts_of_the_folder_is_asked_for(site):
    for path in [*site.rglob("*.html"), *site.rglob("*.js"), *site.rglob("*.css")]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(
            r"\bfetch\(|XMLHttpRequest|@import|url\(|https?://(?!vega\.github\.io/schema)", text
        ), path


def test_every_drill_leads_to_trials_of_its_model(site, pages):
    drills = [drill for page in pages.values() for drill in page.drills]
    assert len(drills) == 2 * 4 * 2 * 6  # tracks, techniques, tasks, models
    for drill in drills:
        text = (site / f"{drill['data-pack']}.js").read_text(encoding="utf-8")
        pack = json.loads(text[len("interpBench.receive(") :].split(",", 1)[1].removesuffix(");\n"))
        column = pack["fields"].index("model")
        assert sum(trial[column] == drill["data-of"] for trial in pack["trials"]) == 3
        assert drill["aria-expanded"] == "false"
        assert drill["aria-label"]


def test_the_first_page_answers_in_one_look(pages):
    [row] = [row for row in pages["index.html"].rows if row.get("data-key") == "circuits lm 1000000"]
    assert row["data-track"] == "circuits"
    text = " ".join(pages["index.html"].text)
    assert "How do we know the truth?" in text
    assert "1k to 10k" not in text


def test_what_the_code_says_is_shown_and_escaped(site, pages):
    shown = " ".join(pages["techniques/circuits.steady.html"].text)
    for text in ("Finds edges & <keeps> them.", "Nobody 2026", "steps=3", "Only on odd days.", "one pass"):
        assert text in shown
    assert "<keeps>" not in (site / "techniques/circuits.steady.html").read_text(encoding="utf-8")
    assert "its description is not here" in " ".join(pages["techniques/circuits.falling.html"].text)
    assert "Rungs, one a size." in " ".join(pages["models/rungs-1000.html"].text)


def test_a_reason_of_a_trial_cannot_end_a_script(site):
    for path in site.rglob("*.html"):
        assert "ValueError: </script>" not in path.read_text(encoding="utf-8")
    [pack] = (site / "data/trials/circuits.falling").glob("*planted.js")
    assert "\u2028" not in pack.read_text(encoding="utf-8")
    assert r"\u2028" in pack.read_text(encoding="utf-8")


def test_charts_have_words_and_their_rows_have_a_row_in_the_table(pages, site):
    text = (site / "cliffs.html").read_text(encoding="utf-8")
    assert 'role="img" aria-label="Line chart' in text
    [rows] = re.findall(r'<script type="application/json" class="rows">(.*?)</script>', text)
    data = json.loads(rows)
    keys = {row["data-key"] for row in pages["cliffs.html"].rows if "data-key" in row}
    assert {row[0] for row in data["rows"]} == keys
    assert data["columns"][:4] == ["key", "series", "model", "params"]
    falling = [row for row in data["rows"] if row[1] == "falling, rungs" and row[0].startswith("features/")]
    assert [(row[2], round(row[4], 1)) for row in falling] == [
        ("rungs-1000", 0.9), ("rungs-10000", 0.9), ("rungs-100000", 0.1), ("rungs-1000000", 0.1),
    ]  # fmt: skip


def test_a_page_says_where_a_technique_stops(site):
    text = (site / "techniques/features.falling.html").read_text(encoding="utf-8")
    [row] = re.findall(r'<tr[^>]*data-key="rungs">.*?</tr>', text)
    cells = [re.sub(r"<[^>]*>", "", cell).strip() for cell in re.findall(r"<t[hd].*?</t[hd]>", row)]
    assert cells[:4] == ["rungs", "lm", "1k..10k", "10k to 100k"]
    assert re.fullmatch(r"3[12]k \(10k to 100k\)", cells[4])
