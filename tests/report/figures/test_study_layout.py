from __future__ import annotations

import pytest

from memtk.report.figures import Point
from memtk.report.figures.study import lay_out, settings_panel
from memtk.results.seeds import settings_of
from memtk.results.study import Finding, StudyAxis, StudyFile


@pytest.fixture
def settings(results, tmp_path):
    """`settings(axes, rows)`: an axis's values by key; `rows` are values of the findings."""

    def make(axes, rows):
        file = StudyFile(kind="grid", axes=[StudyAxis(key=k, values=v) for k, v in axes.items()])
        found = [Finding(str(i), row, results[0], tmp_path) for i, row in enumerate(rows)]
        return file, settings_of(file, found)

    return make


def test_the_first_axis_but_seed_and_generator_runs_along_and_others_have_colours(settings):
    axes = {"generator": ["a", "b"], "size": ["1", "2"], "seed": ["0", "1"]}
    rows = [
        {"generator": g, "size": n, "seed": s} for g in "ab" for n in ("1", "2") for s in ("0", "1")
    ]
    layout = lay_out(*settings(axes, rows))
    assert (layout.below, layout.ticks, layout.series) == ("size", ("1", "2"), ("a", "b"))
    assert layout.places == ((0, 0), (1, 0), (0, 1), (1, 1)) and layout.ordered


def test_generators_alone_run_along_and_are_not_joined(settings):
    file, found = settings({"generator": ["a", "b"]}, [{"generator": "a"}, {"generator": "b"}])
    layout = lay_out(file, found)
    assert layout.ticks == ("a", "b") and not layout.ordered
    panel = settings_panel(layout, found, lambda setting, step: Point(0, (0.5,)), "title")
    assert [point.x for point in panel.lines[0].points] == [0, 1]


def test_values_that_are_missing_leave_no_gap(settings):
    layout = lay_out(*settings({"size": ["1", "2", "3"]}, [{"size": "1"}, {"size": "3"}]))
    assert layout.ticks == ("1", "3")
