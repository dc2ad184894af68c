from __future__ import annotations

import numpy as np
import pytest

from memtk.report.figures import draw_planted, similarities
from memtk.results import read_audit


@pytest.fixture
def drawn(monkeypatch):
    """Draw a self-test and return its panels by title."""
    kept = []
    monkeypatch.setattr(similarities, "as_uri", lambda figure: kept.append(figure) or "data:")

    def draw(folder):
        selftest = read_audit(folder / "audit.json").selftest
        draw_planted(selftest)
        return selftest, {axes.get_title("left"): axes for axes in kept[-1].axes}

    return draw


def curve(axes, name):
    """Heights of a curve, and its lower and upper ends."""
    bars = next(c for c in axes.containers if c.get_label() == name)
    line, _, (segments,) = bars
    ends = np.array([segment[:, 1] for segment in segments.get_segments()])
    return line.get_ydata(), ends[:, 0], ends[:, 1]


def test_every_kind_has_a_panel_with_its_rates_and_intervals(audited, drawn):
    selftest, panels = drawn(audited)
    assert list(panels) == ["Without a strength, and mixed", "Rotation", "Blur"]
    turned = [plant.found for plant in selftest.plants if plant.kind == "rotation"]
    names = {
        "conformal, p ≤ α": "conformal",
        "reference rule": "dar",
        "nearer than every validation image": "min_p",
        "of those found: the right training image": "right_image",
    }
    for name, field in names.items():
        rates = [getattr(found, field) for found in turned]
        middle, low, high = curve(panels["Rotation"], name)
        assert middle == pytest.approx([100 * r.rate for r in rates])
        assert low == pytest.approx([100 * r.low for r in rates])
        assert high == pytest.approx([100 * r.high for r in rates])
    assert [t.get_text() for t in panels["Rotation"].get_xticklabels()] == ["2", "5", "10"]
    assert panels["Rotation"].get_xlabel() == "degrees"


def test_kinds_without_a_strength_stand_beside_the_mixed_copies(audited, drawn):
    selftest, panels = drawn(audited)
    first = panels["Without a strength, and mixed"]
    assert [t.get_text() for t in first.get_xticklabels()] == ["exact", "flip", "mixed"]
    middle, _, _ = curve(first, "conformal, p ≤ α")
    assert middle[-1] == 100 * selftest.sensitivity.conformal.rate


def test_what_is_stronger_than_the_mixed_copies_lies_on_grey_ground(audited, drawn):
    _, panels = drawn(audited)
    assert panels["Rotation"].patches[0].get_extents().width > 0
    assert len(panels["Rotation"].patches) == 1
    assert not panels["Without a strength, and mixed"].patches


def test_copies_of_which_nothing_is_known_have_no_figure(audited):
    selftest = read_audit(audited / "audit.json").selftest
    assert draw_planted(selftest.model_copy(update={"plants": []})) is None


@pytest.mark.filterwarnings("error")
def test_where_no_copy_was_found_none_is_right_or_wrong(make_audit_run, drawn, monkeypatch):
    folder = make_audit_run(noticed=0.0)
    _, panels = drawn(folder)
    for axes in panels.values():
        names = [bars.get_label() for bars in axes.containers]
        assert len(names) == 3 and "of those found: the right training image" not in names
    monkeypatch.undo()
    assert draw_planted(read_audit(folder / "audit.json").selftest).startswith("data:image/svg")
