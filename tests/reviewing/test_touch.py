"""Pairs read on a tablet, by fingers alone."""

from __future__ import annotations

import pytest
from reviewing.pages import AT, SHOWN, page_of, wait_for


@pytest.fixture
def tablet(browser):
    browser.as_tablet()
    yield browser
    browser.as_desk()


KEPT = """
window.kept = {};
window.pixels = k => {
  const c = document.querySelectorAll('canvas')[k];
  return [c.getContext('2d').getImageData(0, 0, c.width, c.height), c.width / c.clientWidth];
};
window.apart = (name, k, dx = 0) => {  // mean difference in shades of grey, if that was moved by dx
  const [now, ratio] = pixels(k), before = kept[name][k][0], shift = Math.round(dx * ratio);
  let sum = 0;
  for (let y = 0, o = 0; y < now.height; y++) for (let x = 0; x < now.width; x++, o += 4)
    sum += Math.abs(now.data[o] - (x < shift ? 0 : before.data[o - 4 * shift]));
  return sum / (now.width * now.height);
};
null
"""


@pytest.mark.parametrize("kind", ["flat", "solid"])
def test_a_tablet_needs_no_key_and_no_mouse(tablet, runs, serve, kind):
    page = page_of(runs / kind)
    tablet.open(serve(page))
    tablet.expect(SHOWN, True)
    tablet.evaluate(KEPT)
    assert not tablet.evaluate("document.querySelector('.keys').checkVisibility()")
    assert tablet.evaluate("document.documentElement.scrollWidth") == 820  # nothing sticks out
    shown = "[...document.querySelectorAll('button')].filter(b => b.checkVisibility())"
    assert tablet.evaluate(f"Math.min(...{shown}.map(b => b.offsetHeight))") >= 44

    def keep(name):
        tablet.evaluate(f"kept.{name} = [pixels(0), pixels(1)]; null")

    def tap(selector, *at):
        tablet.touch(selector, [at or (0, 0)])

    keep("first")
    tablet.press("+")
    tablet.expect("apart('first', 1) > 1", True)
    keep("larger")
    tap("#reset")
    tablet.expect("apart('first', 1)", 0)
    tablet.touch("canvas", [(-40, 0), (-45, 0), (-50, 0)], [(40, 0), (45, 0), (50, 0)])  # a pinch
    tablet.expect("apart('larger', 0) < 0.5 && apart('larger', 1) < 0.5", True)
    tap("#reset")
    tablet.touch("canvas", [(-40, 0), (0, 0)], [(40, 0), (80, 0)])  # two fingers move both images
    tablet.expect("apart('first', 0) > 1 && apart('first', 0, 40) < 1", True)
    tablet.expect("apart('first', 1, 40) < 1", True)
    tap("#reset")
    tablet.expect("apart('first', 0)", 0)
    tap("canvas")  # scrolls it into view
    where = tablet.evaluate("[scrollX, scrollY]")
    tablet.touch("canvas", [(0, 0), (30, 30), (60, 60)])  # one finger: brightness and contrast
    tablet.expect("apart('first', 0) > 1 && apart('first', 1) > 1", True)
    assert tablet.evaluate("[scrollX, scrollY]") == where
    tap("#reset")
    tablet.expect("apart('first', 0)", 0)
    fingers = [{"x": 240, "y": 400, "id": 0}, {"x": 300, "y": 400, "id": 1}]
    tablet("Input.dispatchTouchEvent", type="touchStart", touchPoints=[fingers[0] | {"x": 200}])
    tablet("Input.dispatchTouchEvent", type="touchMove", touchPoints=fingers[:1])
    tablet.expect("apart('first', 0) > 1", True)
    tablet("Input.dispatchTouchEvent", type="touchStart", touchPoints=fingers)
    tablet.expect("apart('first', 0)", 0)  # it was to be a pinch
    tablet("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    if kind == "solid":
        tap("input[type=range]", 100, 0)
        tablet.expect("+document.querySelector('input[type=range]').value > 5", True)
    for mode in ("checker", "difference", "blink"):
        tap(f"[data-mode={mode}]")
        tablet.expect("document.querySelectorAll('.half')[1].hidden", True)
    for number, label in enumerate(["copy", "novel", "unsure"], 1):
        tablet.expect(f"{AT}.startsWith('pair {number} of 12,') && {SHOWN}", True)
        tap(f"[data-label={label}]")
    wait_for(page, ["copy", "novel", "unsure", None])
    tablet.expect(f"{AT}.startsWith('pair 4 of 12,') && {SHOWN}", True)
    tap("#back")
    tablet.expect(f"{AT}.startsWith('pair 3 of 12,') && {SHOWN}", True)
