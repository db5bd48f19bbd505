"""Stored snapshots become charts that can be drawn, with words that say what they show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from interp_bench.board.site.pictures import picture, pictures_of
from interp_bench.errors import InterpBenchError, StoreError
from interp_bench.harness.snapshots.stored import MOST_BYTES, read_snapshot, text_of
from tests.snapshots import CONTENTS, snapshot, stored

SAID = {
    "pixels": "within the planted evidence in 1 of 1 image.",
    "tokens": "a planted one in 1 of 2 texts.",
    "circuit": "1 of 2 planted edges found; 1 found that were not planted. Missed: a0.h0 to logits.",
    "cosines": "Of 2 planted features 1 have a partner",
    "subspace": "late, which carries the variable in 2 directions; its own 1 meet them with cosines 1.00.",
    "patch": "50% of its colour values",
    "phrase": "spell 1 of 2 planted parts.",
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_every_kind_is_drawn_and_said(kind: str) -> None:
    vl_convert = pytest.importorskip("vl_convert")
    shown = picture(snapshot(kind))
    assert SAID[kind] in shown.alt
    assert shown.alt.endswith("Skill 0.43, where 0 is guessing and 1 is the truth.")
    assert shown.caption.endswith("Skill here: 0.43.")
    assert shown.title.endswith("(token_evidence on native-30k, seed 0)")
    assert (shown.track, shown.technique) == ("attribution", "saliency")
    assert shown.spec["description"] == shown.alt
    drawn = vl_convert.vegalite_to_vega(dict(shown.spec))
    assert drawn["marks"]
    svg = vl_convert.vegalite_to_svg(dict(shown.spec))
    assert "NaN" not in svg
    assert "undefined" not in svg


@pytest.mark.parametrize("kind", CONTENTS)
def test_a_snapshot_survives_its_file(kind: str, tmp_path: Path) -> None:
    one = snapshot(kind)
    path = tmp_path / one.file_name
    path.write_text(text_of(one), "utf-8")
    assert read_snapshot(path) == one
    assert text_of(read_snapshot(path)) == text_of(one)


def test_the_number_of_tied_edges_is_said_beside_the_circuit() -> None:
    caption = picture(snapshot("circuit")).caption
    assert "4 edges tie for the last places and are not drawn." in caption
    assert "Of 12 edges the 2 first in the ranking are drawn" in caption


def test_an_answer_at_a_site_where_nothing_is_carried_says_so() -> None:
    content = {"kind": "subspace", **CONTENTS["subspace"], "chosen": "early", "cosines": []}
    shown = picture(snapshot(content=content))
    assert "names early, where nothing of the variable is carried." in shown.alt
    assert shown.spec["datasets"]["pairs"] == []


def test_what_is_missed_is_drawn_as_nothing_found() -> None:
    pairs = picture(snapshot("subspace")).spec["datasets"]["pairs"]
    assert [pair["cosine"] for pair in pairs] == [1.0, 0.0]


def test_an_outline_goes_once_round_what_was_planted() -> None:
    from interp_bench.board.site.drawings.pixels import outline

    lines = {tuple(line.values()) for line in outline(["##", ".#"], (10, 20))}
    # x, y, x2, y2 of the shape of an L.
    assert lines == {
        (20, 10, 22, 10), (20, 11, 21, 11), (21, 12, 22, 12),
        (20, 10, 20, 11), (21, 11, 21, 12), (22, 10, 22, 12),
    }  # fmt: skip


def test_an_edge_keeps_clear_of_the_nodes_on_its_way() -> None:
    columns = [["input"], ["a0.h0", "a0.h1", "a0.h2"], ["m0"], ["logits"]]
    edge = {"source": "input", "destination": "logits", "planted": True, "found": True}
    content = {"kind": "circuit", "columns": columns, "edges": [edge], "n_edges": 9}
    data = picture(snapshot(content=content)).spec["datasets"]
    nodes = {(node["x"], node["y"]) for node in data["nodes"]}
    way = [(point["x"], point["y"]) for point in data["curves"]]
    assert (way[0], way[-1]) == ((0, 0), (3, 0))
    assert len(way) > 2
    assert all(abs(y - lane) >= 0.4 for x, y in way[1:-1] for at, lane in nodes if at == x)


def test_edges_that_share_both_ends_are_told_apart_only_by_their_fate() -> None:
    ends = {"source": "input", "destination": "a0.h0"}
    edges = [
        {**ends, "port": "q", "planted": True, "found": True},
        {**ends, "port": "k", "planted": True, "found": True},
        {**ends, "port": "v", "planted": True, "found": False},
    ]
    content = {"kind": "circuit", "columns": CONTENTS["circuit"]["columns"], "edges": edges, "n_edges": 9}
    data = picture(snapshot(content=content)).spec["datasets"]
    assert sorted(port["port"] for port in data["ports"]) == ["q k", "v"]
    ways = {}
    for point in data["curves"]:
        ways.setdefault(point["fate"], []).append((point["x"], point["y"]))
    assert len(ways) == len({tuple(way) for way in ways.values()}) == 2


def test_pictures_come_in_the_order_of_track_technique_and_modality(tmp_path: Path) -> None:
    made = [
        snapshot("pixels", modality="image", model="a"),
        snapshot("tokens", model="z"),
        snapshot("phrase", track="triggers", technique="beam"),
        snapshot("tokens", technique="occlusion"),
    ]
    for one in made:
        (tmp_path / one.file_name).write_text(text_of(one), "utf-8")
    found = [(p.track, p.technique, p.title.partition(" (")[0]) for p in pictures_of(tmp_path)]
    assert found == [
        ("attribution", "occlusion", "Saliency over tokens"),
        ("attribution", "saliency", "Saliency over tokens"),
        ("attribution", "saliency", "Saliency over images"),
        ("triggers", "beam", "Trigger beside the planted one"),
    ]
    assert pictures_of(tmp_path) == pictures_of(tmp_path)


def test_without_a_folder_there_are_no_pictures(tmp_path: Path) -> None:
    assert pictures_of(tmp_path / "none") == ()


def broken(kind: str, **content: Any) -> dict[str, Any]:
    return stored(content={"kind": kind, **CONTENTS[kind], **content})


PIXELS = CONTENTS["pixels"]["examples"][0]
CIRCUIT = CONTENTS["circuit"]
BACK = {"source": "m0", "destination": "input", "planted": True, "found": True}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "Invalid JSON"),
        (b"[]", "Input should be an object"),
        (b"\xff", "Invalid JSON"),
        (b" " * (MOST_BYTES + 1), "more than 1048576 bytes"),
        (stored(schema_number=2), "schema_number"),
        (stored(score=float("nan")), "score"),
        (stored(extra=1), "extra"),
        (stored(track="../x"), "track"),
        (stored(content={"kind": "movie"}), "content"),
        (broken("pixels", examples=[{**PIXELS, "saliency": ["0f0"]}]), "image is not as large"),
        (broken("pixels", examples=[{**PIXELS, "saliency": ["0f0", "00"]}]), "rows differ in length"),
        (broken("pixels", examples=[{**PIXELS, "corner": [1, 1]}]), "reaches out of the image"),
        (broken("pixels", examples=[{**PIXELS, "peaks": [[2, 0]]}]), "peak lies outside"),
        (broken("pixels", examples=[{**PIXELS, "image": ["zzz"]}]), "image"),
        (broken("pixels", examples=[]), "examples"),
        (broken("tokens", examples=[{"tokens": [1], "planted": "#.", "saliency": "00"}]), "differ in length"),
        (broken("circuit", edges=[BACK]), "points backwards"),
        (broken("circuit", edges=[{**BACK, "source": "m9"}]), "joins no two nodes"),
        (broken("cosines", matrix=["e600"]), "one row and one column"),
        (broken("cosines", shown=[0, 9]), "has no rank"),
        (broken("cosines", matched=[1.5, 0.1]), "matched"),
        (broken("subspace", chosen="never"), "not among the sites"),
        (broken("patch", found=["fff"]), "differ in size"),
    ],
)
def test_a_file_that_is_no_picture_is_named_in_one_line(
    tmp_path: Path, content: bytes | dict[str, Any], said: str
) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(StoreError, match=r"bad\.json: not a picture: ") as caught:
        pictures_of(tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_picture_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.json").mkdir()
    with pytest.raises(StoreError, match=r"cannot read .*x\.json: Is a directory"):
        pictures_of(tmp_path)


def test_without_altair_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in [name for name in sys.modules if name.startswith("interp_bench.board.site.drawings")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "altair", None)
    with pytest.raises(InterpBenchError, match=r"pip install 'interp-bench\[site\]'"):
        picture(snapshot())
