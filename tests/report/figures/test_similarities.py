from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from memtk.report.figures import draw_similarities, similarities


@pytest.fixture
def figure(monkeypatch) -> list[Figure]:
    kept: list[Figure] = []
    monkeypatch.setattr(similarities, "as_uri", lambda f: kept.append(f) or "data:")
    return kept


def arrays(count=50, seed=0):
    rng = np.random.default_rng(seed)
    names = ("train_validation", "train_synthetic", "validation_train", "synthetic_train")
    return {name: rng.uniform(0.2, 0.9, count) for name in names}


def test_every_image_is_counted_once_on_each_side(figure):
    draw_similarities(arrays(), tau=0.8)
    for axes in figure[0].axes:
        for stairs in axes.patches:
            assert stairs.get_data().values.sum() == pytest.approx(100)


def test_tau_is_marked_in_both_panels_at_one_place(figure):
    draw_similarities(arrays(), tau=0.8125)
    for axes in figure[0].axes:
        assert axes.lines[0].get_xdata()[0] == 0.8125
        assert axes.texts[0].get_text() == "τ = 0.812"
        low, high = axes.get_xlim()
        assert low < 0.8125 < high


def test_similarities_that_are_all_alike_are_drawn():
    same = {name: np.ones(3) for name in arrays()}
    assert draw_similarities(same, tau=1.0).startswith("data:image/svg+xml;base64,")


@pytest.mark.parametrize(("tau", "side"), [(0.95, "right"), (0.3, "left")])
def test_the_name_of_the_threshold_stands_clear_of_the_legend(figure, tau, side):
    draw_similarities({name: np.linspace(0, 1, 50) for name in arrays()}, tau)
    assert figure[0].axes[0].texts[0].get_ha() == side
