from __future__ import annotations

import numpy as np
import pytest

from memtk.report.figures import cells, draw_checkpoints, draw_losses
from memtk.report.figures.cells import running_mean
from memtk.results import read_result


@pytest.fixture
def drawn(monkeypatch):
    """Draw checkpoints and return the curves of each panel by name, and the heights of nulls."""
    kept = []
    monkeypatch.setattr(cells, "as_uri", lambda f: kept.append(f) or "data:")

    def draw(result):
        draw_checkpoints(result)
        curves = [
            {line.get_label(): list(line.get_ydata()) for line in axes.lines}
            for axes in kept[-1].axes
        ]
        dashed = [
            sorted(line.get_ydata()[0] for line in axes.lines if line.get_label()[0] == "_")
            for axes in kept[-1].axes
        ]
        return curves, dashed

    return draw


def result_of(folder):
    return read_result(folder / "cells/monai/result.json")


def test_curves_are_the_shares_and_dashes_their_nulls(make_run, drawn):
    result = result_of(make_run())
    (memorized, copies), (left, right) = drawn(result)
    tables = [c.protocols for c in result.checkpoints]
    shares = [100 * t["dar"]["n_mem"].value for t in tables]
    assert memorized["dar: memorized, n_mem / N"] == shares
    assert memorized["dar-matched: memorized at equal sizes"] == pytest.approx(shares)  # M = V
    exposed = [100 * tables[-1]["conformal"]["exposed"].value]
    assert memorized["conformal: training images, p ≤ 0.05"] == exposed
    near = [100 * t["conformal"]["copies"].value for t in tables]
    assert copies["conformal: synthetic images, p ≤ 0.05"] == near
    assert left == pytest.approx([4, 5, 5])
    assert right == pytest.approx(sorted([4, 100 * tables[-1]["dar"]["n_copies"].null]))


def test_a_protocol_of_a_stranger_has_a_curve_too(make_run, drawn):
    result = result_of(make_run())
    record = result.last.protocols["dar"]["n_mem"].model_copy(
        update={"title": "own rule", "value": 0.25, "null": None}
    )
    changed = [
        c.model_copy(update={"protocols": c.protocols | {"mine": {"share": record}}})
        for c in result.checkpoints
    ]
    (memorized, _), _ = drawn(result.model_copy(update={"checkpoints": changed}))
    assert memorized["mine: own rule"] == [25, 25]


def test_a_single_checkpoint_has_no_course(make_run):
    result = result_of(make_run())
    one = result.model_copy(update={"checkpoints": result.checkpoints[:1]})
    assert draw_checkpoints(one) is None


@pytest.fixture
def axes(monkeypatch):
    kept = []
    monkeypatch.setattr(cells, "as_uri", lambda f: kept.append(f) or "data:")

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
