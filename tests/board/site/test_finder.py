"""What the first page answers: the best technique at a size, where it stops, and what it costs."""

from __future__ import annotations

import numpy as np
import pytest

from interp_bench.board.site.charts import BEST, FEWER, OTHER
from interp_bench.board.site.cost import cost
from interp_bench.board.site.finder import finder
from interp_bench.board.site.links import Links
from interp_bench.board.site.study import study_of
from tests.simulated import SimulatedTechnique, ladder, simulate
from tests.small_site import small_board


def links_of(study):
    return Links({t.technique_id for t in study.trials}, study.subjects, {t.task_id for t in study.trials})


@pytest.fixture(scope="module")
def rows():
    study = study_of(small_board())
    return {row.key: [entry.text for entry in row.entries] for row in finder(study, links_of(study)).rows}


def test_each_track_modality_and_size_has_a_row(rows):
    assert list(rows)[:4] == [f"circuits lm {size}" for size in (1_000, 10_000, 100_000, 1_000_000)]
    assert len(rows) == 2 * 6


def test_the_best_changes_where_it_falls(rows):
    small, large = rows["features lm 10000"], rows["features lm 1000000"]
    assert small[:3] == ["features in LMs", "about 10k", "falling"]
    assert small[4:7] == ["10k (rungs)", "10k to 100k (rungs)", "2.0 s"]
    assert small[7].startswith("steady 0.80")
    assert large[2] == "steady"
    assert large[4:7] == ["1m (rungs)", "not seen", "1.0 s"]
    assert large[8] == "2 cells, 1 model"


def test_what_was_skipped_is_not_the_best_and_failing_is_no_gain(rows):
    assert rows["circuits image 100000"][2] == "steady"
    assert rows["circuits lm 1000000"][7].startswith("falling 0.05")


def kinds(skills, seconds, missing=()):
    """Return how each technique compares for its cost, of given skill and seconds."""
    trials = []
    for name, skill in skills.items():
        trials += simulate(
            lambda *_, skill=skill: skill,
            models=ladder([10_000, 11_000]),
            techniques=[SimulatedTechnique(name=name, seconds=seconds[name])],
            generator=np.random.default_rng(0),
            noise=0.001,
        )
    trials = [trial for trial in trials if (trial.technique, trial.params) not in missing]
    study = study_of(trials)
    page = cost(study, links_of(study), {"cost": {}})
    figure = page.context["figure_"]
    place = {name: index for index, name in enumerate(figure.columns)}
    return {line[place["technique"]]: line[place["kind"]] for line in figure.rows}


def test_what_none_beats_for_less_is_best_for_its_cost():
    found = kinds(
        {"cheap": 0.3, "good": 0.8, "dear": 0.9, "vain": 0.7},
        {"cheap": 0.1, "good": 1, "dear": 10, "vain": 5},
    )
    assert found == {"cheap": BEST, "good": BEST, "dear": BEST, "vain": OTHER}


def test_who_was_scored_on_fewer_cells_beats_nobody():
    found = kinds({"easy": 1.0, "fair": 0.5}, {"easy": 0.1, "fair": 1}, missing={("easy", 11_000)})
    assert found == {"easy": FEWER, "fair": BEST}
