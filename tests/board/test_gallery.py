"""The gallery says what code and trials say, in one order, and stays the same."""

from __future__ import annotations

import random
import re

from interp_bench.board.gallery import MISSING, Exhibit, gallery


def exhibit(name: str, track: str = "features", **changes: object) -> Exhibit:
    facts = {
        "summary": f"What {name} does.", "note": "", "access": "forward", "cost": "2 forwards",
        "runs_on": "lm", "cites": "Author 2020, Title", "arguments": {"steps": 5},
    }  # fmt: skip
    return Exhibit(name=name, track=track, **(facts | changes))


def test_each_technique_has_a_row_and_an_entry_with_its_numbers(board):
    shown = [exhibit("eap", "circuits", note="only here"), exhibit("pca"), exhibit("later")]
    page = gallery(shown, board)
    assert "3 techniques: 1 on circuits, 2 on features." in page
    assert page.count("\n### ") == 3
    assert "[pca](#featurespca)" in page
    assert "### features/pca" in page
    assert "- **Source**: Author 2020, Title" in page
    assert "**Arguments**: `steps=5`." in page
    assert "- **Note**: only here" in page
    assert re.search(r"\*\*Cost\*\*: 2 forwards; measured 0\.\d+ s 2f 1b, 12 MiB at its peak\.", page)
    assert (
        "- **Better than guessing**: in 4 of 5 cells; best in planted_program on native-30k, skill " in page
    )
    assert page.count(MISSING) == 1


def test_guessing_and_failing_are_said(board):
    page = gallery([exhibit("random"), exhibit("fast_ica")], board)
    assert "it is what guessing is: the floor of its track." in page
    # One of three seeds failed on vit-tiny, and counts as 0: the bound falls below 0 there.
    assert "- **Better than guessing**: in 6 of 7 cells; best in dictionary on " in page


def test_the_page_does_not_depend_on_order(board):
    shown = [
        exhibit(name, track) for name, track in (("a", "features"), ("b", "circuits"), ("c", "features"))
    ]
    first = gallery(shown, board)
    mixed = list(board)
    random.Random(0).shuffle(mixed)
    assert gallery(reversed(shown), mixed) == first
    assert first.endswith("\n")
    assert not first.endswith("\n\n")
