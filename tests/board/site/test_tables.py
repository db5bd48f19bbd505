"""Tables: what cells show and sort by, which filters there are, and how their rows become HTML."""

from __future__ import annotations

import pytest

from interp_bench.analysis.stats import t_interval
from interp_bench.board.site.links import Links
from interp_bench.board.site.markup import rows_html
from interp_bench.board.site.tables import Column, Entry, Row, Step, number_entry, skill_entry, table


def test_a_skill_is_sorted_by_its_mean_and_marked_where_it_works():
    entry = skill_entry(t_interval([0.8, 0.82, 0.81]))
    assert (entry.text, entry.value, entry.look) == ("0.81 ±0.02", 0.81, "skill s8 works")
    assert skill_entry(t_interval([0.8])).look == "skill s8"
    assert skill_entry(t_interval([-3.0]), failed=True).look == "skill s0 failed"


def test_what_is_missing_is_no_zero():
    for entry in (skill_entry(None), number_entry(None)):
        assert (entry.text, entry.value) == ("-", None)
    shown = table(
        "t",
        "T",
        [Column(label="a"), Column(label="b", number=True)],
        [Row(entries=(Entry(text="x"), skill_entry(None)))],
    )
    assert rows_html(shown, "") == '<tr><th scope="row">x</th><td data-v="" class="n">-</td></tr>'


def test_rows_become_html_with_everything_escaped():
    entry = Entry(text='<b>"&', href="models/a.html", value='"', look="wide", bar=(Step("on", 'a"b: 1'),))
    row = Row(entries=(entry,), facets={"track": "a<b"}, key="k&", drill=("data/p", 'm"', "l<"))
    text = rows_html(table("t", "T", [Column(label="a")], [row]), "../")
    assert text == (
        '<tr data-track="a&lt;b" data-key="k&amp;"><th scope="row" data-v="&quot;" class="wide">'
        '<span class="bar" aria-hidden="true"><i class="on" title="a&quot;b: 1"></i></span> '
        '<a href="../models/a.html">&lt;b&gt;&quot;&amp;</a></th><td class="drilled"><button type="button" '
        'class="drill" aria-expanded="false" data-pack="data/p" data-of="m&quot;" '
        'aria-label="Trials of l&lt;">trials</button></td></tr>'
    )


def test_a_row_without_trials_keeps_its_place_in_the_table():
    rows = [Row(entries=(Entry(text="a"),), drill=("p", "m", "l")), Row(entries=(Entry(text="b"),))]
    text = rows_html(table("t", "T", [Column(label="a")], rows), "")
    assert text.endswith('<tr><th scope="row">b</th><td class="drilled"></td></tr>')


def test_a_way_within_the_page_needs_no_way_up():
    text = rows_html(
        table("t", "T", [Column(label="a")], [Row(entries=(Entry(text="a", href="#b"),))]), "../"
    )
    assert 'href="#b"' in text


def test_filters_are_there_where_there_is_something_to_choose():
    rows = [
        Row(entries=(Entry(text="a"),), facets={"track": "x", "modality": "image", "size": "1000"}),
        Row(entries=(Entry(text="b"),), facets={"track": "x", "modality": "lm", "size": "100000"}),
    ]
    shown = table(
        "t", "T", [Column(label="a")], rows, filters=("track", "modality", "size"), defaults={"size": "1000"}
    )
    assert [choice.facet for choice in shown.choices] == ["modality", "size"]
    assert shown.choices[0].options == (("lm", "language models"), ("image", "image networks"))
    assert shown.choices[1].options == (("1000", "about 1k"), ("100000", "about 100k"))
    assert shown.choices[1].default == "1000"


def test_a_default_that_is_no_choice_is_none():
    rows = [Row(entries=(Entry(text=name),), facets={"track": name}) for name in "ab"]
    [choice] = table("t", "T", [Column(label="a")], rows, filters=("track",), defaults={"track": "c"}).choices
    assert choice.default == ""


def test_names_of_files_are_plain_and_never_fall_together():
    links = Links(["a/b c", "a/b_c", "A/b_c", "a/..", "a/" + "x" * 300], ["m/1"], ["t/a"])
    names = [links.technique(name) for name in ("a/b c", "a/b_c", "A/b_c")]
    assert len({name.casefold() for name in names}) == 3
    assert all(name.startswith("techniques/") and name.count("/") == 1 for name in names)
    assert links.technique("a/..") == "techniques/a.html"
    assert len(links.technique("a/" + "x" * 300)) < 130
    assert links.model("m/1") == "models/m.1.html"
    assert links.problems("t/a") == "data/problems/t.a"
    with pytest.raises(KeyError):
        links.model("other")
