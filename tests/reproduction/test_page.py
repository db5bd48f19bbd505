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


def test_every_section_was_measured_over_seeds() -> None:
    found = assembled()
    assert [section.name for section, _ in found] == list(SECTIONS)
    for section, result in found:
        assert result.versions.keys() == set(section.techniques)
        assert min(one.n for one in judgements(section, result)) >= 3, section.name


def test_what_does_not_hold_is_explained() -> None:
    assert unexplained(assembled()) == []


def test_circuits_are_forty_and_not_trivial(stored: Result) -> None:
    assert len(stored.values["auroc"]["random"]) >= 40


def test_headings_are_those_that_the_page_links_to() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for section in SECTIONS.values():
        assert f"](#{anchor(section.title)})" in text
        assert f"\n## {section.title}\n" in text


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
    for section, result in assembled():
        save(result.model_copy(update={"day": f"2001-01-0{len(section.name) % 9}"}), tmp_path)
    save(stored, tmp_path)
    text = page(assembled(tmp_path))
    assert f"Measured on {stored.day}" in text
    assert text.count("Measured on 2001-01-0") == len(SECTIONS) - 1


def test_the_brief_profile_may_not_replace_results(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--brief", "--results", str(RESULTS)])
    assert "may not replace results" in capsys.readouterr().err
