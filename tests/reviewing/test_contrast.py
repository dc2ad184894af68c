"""Images of several channels, and contrasts that 8 bits do not hold, in a real browser."""

from __future__ import annotations

import numpy as np
import pytest
from reviewing.pages import SHOWN, page_of

from memtk.interfaces import ImageSpec
from memtk.reviewing import ReviewedSet

COLOUR = (
    "(() => {{ const c = document.querySelectorAll('canvas')[{0}];"
    "return [...c.getContext('2d').getImageData(c.width * {1}, c.height / 2, 1, 1).data]"
    ".slice(0, 3); }})()"
)
"""Of canvas 0, training, or 1, synthetic, at a share of its width: 0.4 is left of the middle."""


@pytest.fixture
def show(browser, runs, serve, monkeypatch):
    """`show(training, other)` opens the page of pairs that all are these two images (C, H, W)."""

    def open_page(training, other):
        spec = ImageSpec(training.shape[1:], training.shape[0])
        monkeypatch.setattr(ReviewedSet, "spec", spec)
        monkeypatch.setattr(ReviewedSet, "read", lambda *_: (training, other))
        page = page_of(runs / "flat")
        browser.open(serve(page))
        browser.expect(SHOWN, True)
        return page

    return open_page


def two_tones(*pairs):
    """Channels (C, 16, 16) of two tones each, left and right, with black and white above."""
    image = np.empty((len(pairs), 16, 16), dtype=np.float32)
    for channel, (left, right) in zip(image, pairs, strict=True):
        channel[:, :8], channel[:, 8:] = left, right
        channel[0, :8], channel[0, 8:] = -1, 1
    return image


def at(browser, canvas, where):
    return browser.evaluate(COLOUR.format(canvas, where))


def test_contrast_below_a_step_of_8_bits_is_seen_when_the_window_is_narrow(browser, show):
    step = 2 / 65535
    show(two_tones((0, 50 * step)), two_tones((0, 25 * step)))
    assert at(browser, 0, 0.4) == at(browser, 0, 0.6) == at(browser, 1, 0.6)  # 257 steps a grey
    for _ in range(5):
        browser.drag("canvas", -250, 0)
    for canvas, steps in ((0, 50), (1, 25)):  # of 127, after 5 times exp(-250 / 200)
        apart = f"{COLOUR.format(canvas, 0.6)}[0] - {COLOUR.format(canvas, 0.4)}[0]"
        browser.expect(f"Math.abs({apart} - {255 * steps / 127}) < 4", True)


@pytest.mark.parametrize("channels", [2, 4])
def test_of_two_or_many_channels_each_is_shown_alone(browser, show, channels):
    tones = [(-0.9, 0.9), (0.8, -0.8), (0.1, 0.2), (-0.5, 0.5)][:channels]
    page = show(two_tones(*tones), two_tones(*tones[::-1]))
    assert len(page.voxels(page.names[0])) == 2 * 2 * channels * 256
    buttons = "[...document.querySelectorAll('[data-channel]')].map(b => b.textContent)"
    assert browser.evaluate(buttons) == [f"Channel {k + 1}" for k in range(channels)]
    for k in range(channels):
        pressed = "document.querySelector('[data-channel][aria-pressed=true]').textContent"
        browser.expect(pressed, f"Channel {k + 1}")
        for canvas, (left, right) in ((0, tones[k]), (1, tones[::-1][k])):
            for where, tone in ((0.4, left), (0.6, right)):
                shade = round((tone + 1) / 2 * 255)
                browser.expect(f"Math.abs({COLOUR.format(canvas, where)}[0] - {shade}) <= 1", True)
        browser.press("h")
    browser.expect(pressed, "Channel 1")  # and from the first again
    browser.click("[data-channel='1']")
    browser.expect(pressed, "Channel 2")


def test_three_channels_are_colours_or_each_alone(browser, show):
    show(two_tones((-1, 1), (0, 0), (1, -1)), two_tones((1, 1), (0, 0), (1, 1)))
    grey = "document.querySelector('[data-channel][aria-pressed=true]').textContent"
    browser.expect(grey, "Colour")
    for canvas, where, colour in ((0, 0.4, [0, 128, 255]), (0, 0.6, [255, 128, 0])):
        assert at(browser, canvas, where) == pytest.approx(colour, abs=1)
    browser.press("h")
    browser.expect(grey, "Channel 1")
    browser.expect(COLOUR.format(0, 0.6), [255, 255, 255])


def test_one_channel_has_nothing_to_choose(browser, show):
    show(two_tones((0, 1)), two_tones((0, 1)))
    assert browser.evaluate("document.getElementById('channels').hidden")
    assert not browser.evaluate("document.querySelector('.several').checkVisibility()")


def test_what_lies_under_the_mouse_stays_there_when_the_wheel_zooms(browser, show):
    show(two_tones((-0.5, 0.5)), two_tones((-0.5, 0.5)))
    edge = (  # where the tones meet, as a share of the width
        "(() => { const c = document.querySelector('canvas'), d = c.getContext('2d')"
        ".getImageData(0, c.height * 0.5, c.width, 1).data;"
        "return [...Array(c.width).keys()].find(x => d[4 * x] > 128) / c.width; })()"
    )
    assert browser.evaluate(edge) == pytest.approx(0.5, abs=0.01)
    box = browser.evaluate(
        "(() => { const r = document.querySelector('canvas').getBoundingClientRect();"
        "return [r.x, r.y, r.width, r.height]; })()"
    )

    def wheel(share):
        place = {"x": box[0] + share * box[2], "y": box[1] + 0.5 * box[3]}
        browser("Input.dispatchMouseEvent", type="mouseWheel", deltaX=0, deltaY=-100, **place)

    wheel(0.5)
    browser.expect(f"Math.abs({edge} - 0.5) < 0.01", True)
    wheel(0.3)  # what was 0.2 beside is 0.2 / 0.9 beside
    browser.expect(f"Math.abs({edge} - {0.3 + 0.2 / 0.9}) < 0.01", True)
