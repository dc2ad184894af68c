from __future__ import annotations

import pytest

from memtk.report.figures import Spot, View, cells, draw_comparison


@pytest.fixture
def drawn(monkeypatch):
    """Figures before they become text."""
    figures = []
    monkeypatch.setattr(cells, "as_uri", lambda figure: figures.append(figure) or "data:")
    return figures


def views(count):
    names = [f"monai2d+{i}" for i in range(count)]
    rates = [Spot(n, 10.0 - i, 0.1 * i, (0.05 * i, 0.2 * i)) for i, n in enumerate(names)]
    return names, [View("Copy rate", rates), View("Exposed", [Spot(n, 1.0, 0.5) for n in names])]


def test_every_cell_is_a_spot_with_its_interval(drawn):
    names, both = views(4)
    assert draw_comparison(both, names, "fid", "lower is better", 2.0) == "data:"
    left, right = drawn[0].axes
    spots = [line for line in left.lines if line.get_label() in names]
    assert [(float(s.get_xdata()[0]), float(s.get_ydata()[0])) for s in spots] == [
        pytest.approx((10.0 - i, 10.0 * i)) for i in range(4)
    ]
    ends = [collection.get_segments()[0][:, 1].tolist() for collection in left.collections]
    assert ends == [pytest.approx([5.0 * i, 20.0 * i]) for i in range(4)]
    assert not right.collections and "lower is better" in left.get_xlabel()


def test_real_images_are_a_line(drawn):
    names, both = views(2)
    draw_comparison(both, names, "fid", "lower", 2.0)
    line = next(l for l in drawn[0].axes[0].lines if l.get_label() == "real images")  # noqa: E741
    assert list(line.get_xdata()) == [2.0, 2.0]
    draw_comparison(both, names, "fid", "lower", None)
    assert not [l for l in drawn[1].axes[0].lines if l.get_label() == "real images"]  # noqa: E741


def test_many_cells_can_be_told_apart(drawn):
    names, both = views(9)
    draw_comparison(both, names, "fid", "lower", None)
    looks = {(l.get_marker(), l.get_color()) for l in drawn[0].axes[0].lines}  # noqa: E741
    assert len(looks) == 9
    (legend,) = drawn[0].legends
    assert [t.get_text() for t in legend.get_texts()] == names


def test_a_cell_keeps_its_mark_where_another_has_no_number(drawn):
    names, both = views(3)
    draw_comparison([View("Copy rate", both[0].spots[1:]), both[1]], names, "fid", "lower", None)
    left, right = drawn[0].axes
    marks = [{l.get_label(): l.get_marker() for l in axes.lines} for axes in (left, right)]  # noqa: E741
    assert marks[0].items() <= marks[1].items()


def test_one_cell_is_no_comparison(drawn):
    names, both = views(1)
    assert draw_comparison(both, names, "fid", "lower", None) is None
