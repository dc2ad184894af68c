from __future__ import annotations

import base64
import colorsys

import matplotlib
import pytest
from matplotlib.colors import to_rgb

from memtk.report.figures.style import LAST, REAL, SYNTHETIC, as_uri, in_percent, panels, quiet


def drawn(size=12.0):
    with matplotlib.rc_context({"font.size": size}), quiet():
        figure = panels(2)
        figure.axes[0].plot([0, 1], [3, 4], label="a")
        figure.axes[0].legend()
        return as_uri(figure)


def test_the_same_figure_gives_the_same_bytes_whatever_the_users_settings():
    assert drawn(12.0) == drawn(30.0)


def test_a_figure_carries_no_date():
    text = base64.b64decode(drawn().partition("base64,")[2]).decode()
    assert "<svg" in text and "dc:date" not in text and "matplotlib.org" not in text


def test_drawing_leaves_the_users_settings_alone():
    before = dict(matplotlib.rcParams)
    drawn()
    assert dict(matplotlib.rcParams) == before


def test_spare_panels_are_blank():
    with quiet():
        figure = panels(4, columns=3)
    assert [axes.axison for axes in figure.axes] == [True] * 4 + [False] * 2


def test_no_tick_is_above_all_images():
    with quiet():
        axes = panels(1).axes[0]
        in_percent(axes, 130)
    assert max(axes.get_yticks()) <= 100


@pytest.mark.parametrize("one", [REAL, SYNTHETIC, LAST])
def test_colours_are_dark_enough_to_read_on_white(one):
    r, g, b = to_rgb(one)
    assert colorsys.rgb_to_hls(r, g, b)[1] < 0.62
