"""The committed page is that of the committed results, and leaves nothing unexplained."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.reproduce.__main__ import SECTIONS, assembled, main, unexplained
from benchmarks.reproduce.page import anchor, judgements, page, told
from benchmarks.reproduce.stored import RESULTS, Result, load, save

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reproduction.md"


@pytest.fixture
def stored() -> Result:
    found = load("circuits")
    assert found is not None
    return found


def test_the_page_is_put_together_from_the_results() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(assembled())


@pytest.mark.parametrize("name", sorted(path.stem for path in RESULTS.glob("*.json")))
def test_what_was_measured_was_measured_over_seeds(name: str) -> None:
    section, result = SECTIONS[name], load(name)
    assert result is not None
    assert result.versions.keys() == set(section.techniques)
    assert len(judgements(section, result)) == len(section.statements)
    assert min(one.n for one in judgements(section, result)) >= 3


def test_what_does_not_hold_is_explained() -> None:
    assert unexplained(assembled()) == []


def test_circuits_are_forty_and_not_trivial(stored: Result) -> None:
    assert len(stored.values["auroc"]["random"]) >= 40


def test_headings_are_those_that_the_page_links_to() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for section, result in assembled():
        assert (f"](#{anchor(section.title)})" in text) == (result is not None)
        assert (f"\n## {section.title}\n" in text) == (result is not None)
        assert (f"Not measured yet: {section.title}" in text) == (result is None)


def test_a_changed_version_is_said(stored: Result) -> None:
    section = SECTIONS["circuits"]
    older = stored.model_copy(update={"versions": {**stored.versions, "circuits/eap": 0}})
    assert "Out of date: circuits/eap changed since." in told(section, older)
    assert "Out of date" not in told(section, stored.model_copy(update={"versions": current(section.name)}))


def current(name: str) -> dict[str, int]:
    from benchmarks.reproduce.stored import versions

    return versions(SECTIONS[name])


def test_an_unexplained_finding_fails_the_command(stored: Result, tmp_path: Path) -> None:
    """CPR and CMD that add up to less than one are a mistake, and nothing explains it."""
    assert main(["--assemble", "--results", str(tmp_path)]) == 0
    wrong = {**stored.values, "cpr + cmd": {"eap": {"a": 0.9, "b": 1.0}}}
    save(stored.model_copy(update={"values": wrong}), tmp_path)
    assert main(["--assemble", "--results", str(tmp_path)]) == 1


def test_sections_of_other_days_stay(stored: Result, tmp_path: Path) -> None:
    """A section that is measured anew replaces its own file alone."""
    other = {"F1": {name: {"0": 0.5, "1": 0.6} for name in ("Matryoshka", "BatchTopK", "JumpReLU", "L1")}}
    other["F1"]["MatchingPursuit"] = {"0": 0.3, "1": 0.2}
    save(stored.model_copy(update={"section": "features", "day": "2001-01-01", "values": other}), tmp_path)
    save(stored.model_copy(update={"day": "2002-02-02"}), tmp_path)
    save(stored.model_copy(update={"day": "2003-03-03"}), tmp_path)
    text = page(assembled(tmp_path))
    assert [day for day in ("2001-01-01", "2002-02-02", "2003-03-03") if f"Measured on {day}" in text] == [
        "2001-01-01",
        "2003-03-03",
    ]


def test_the_brief_profile_may_not_replace_results(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--brief", "--results", str(RESULTS)])
    assert "may not replace results" in capsys.readouterr().err
