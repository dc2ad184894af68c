from __future__ import annotations

import numpy as np
import pytest

from memtk.report.figures import draw_losses, training
from memtk.report.figures.training import running_mean


@pytest.fixture
def axes(monkeypatch):
    kept = []
    monkeypatch.setattr(training, "as_uri", lambda f: kept.append(f) or "data:")

    def draw(training):
        draw_losses(training)
        return [a for a in kept[-1].axes if a.axison]

    return draw


def curve(*terms, high=1.0):
    return [(s, dict.fromkeys(terms, high / s)) for s in range(1, 101)]


def test_every_phase_has_a_panel_and_every_term_a_line(axes):
    panels = axes(
        {"generator": {"autoencoder": curve("l1", "kl"), "diffusion": curve("mse"), "begin": []}}
    )
    assert [p.get_title(loc="left") for p in panels] == [
        "generator: autoencoder",
        "generator: diffusion",
    ]
    assert [t.get_text() for t in panels[0].get_legend().get_texts()] == ["l1", "kl"]
    assert list(panels[1].lines[0].get_ydata()) == [1 / s for s in range(1, 101)]


def test_a_term_that_comes_later_is_drawn_where_it_is(axes):
    points = [(1, {"a": 1.0}), (2, {"a": 1.0, "b": -2.0})]
    (panel,) = axes({"g": {"p": points}})
    assert list(panel.lines[2].get_xdata()) == [2] and panel.get_yscale() == "linear"


def test_a_wide_range_of_positive_losses_is_logarithmic(axes):
    assert axes({"g": {"p": curve("a")}})[0].get_yscale() == "log"


def test_where_nothing_was_trained_there_is_no_figure():
    assert draw_losses({"generator": {}, "embedder": {}}) is None


def test_the_running_mean_is_that_of_its_neighbours():
    x = np.random.default_rng(0).random(100)
    expected = [x[max(0, i - 4) : i + 5].mean() for i in range(100)]
    assert running_mean(x) == pytest.approx(expected)
