"""Pages of pairs, read as a person does: for tests in a browser."""

from __future__ import annotations

import time

from memtk.reviewing import ReadingPage, open_draw, open_set, read_labels

KEYS = {"1": "novel", "2": "copy", "3": "unsure"}
AT = "document.getElementById('count').textContent"
SHOWN = (
    "document.querySelector('main:not([hidden])[aria-busy=false] canvas') !== null"
    " && document.querySelector('canvas').width > 300"
)


def page_of(run, reader="anna", **asked):
    reviewed = open_set(run)
    draw = open_draw(reviewed, {"pairs": 8, "controls": 2, **asked})
    return ReadingPage(reviewed, draw, read_labels(reviewed.folder, draw, reader))


def said(page):
    """The labels that are kept of the pairs of a page, in the order of its reader."""
    kept = read_labels(page.reviewed.folder, page.draw, page.labels.reader).labels
    return [kept[name].label if name in kept else None for name in page.names]


def wait_for(page, labels):
    until = time.monotonic() + 20
    while said(page)[: len(labels)] != labels:
        assert time.monotonic() < until, said(page)
        time.sleep(0.02)


def read(browser, start, labels, count, by="keys"):
    """Read pairs from number `start` on, by keys or by clicks."""
    for number, label in enumerate(labels, start):
        browser.expect(f"{AT}.startsWith('pair {number} of {count},') && {SHOWN}", True)
        if by == "keys":
            browser.press(next(key for key, name in KEYS.items() if name == label))
        else:
            browser.click(f"[data-label={label}]")
