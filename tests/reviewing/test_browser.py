"""Pairs read in a real browser, by keys and mouse, from the server and from one file."""

from __future__ import annotations

import json
import time

import pytest
from fake_runs import PATIENT
from reviewing.pages import AT, SHOWN, page_of, read, said, wait_for

from memtk.reviewing import add_file, read_labels
from memtk.reviewing.labels import labels_path

PIXELS = (
    "(() => {{ const c = document.querySelectorAll('canvas')[{0}];"
    "return c.getContext('2d').getImageData(0, 0, c.width, c.height).data"
    ".reduce((sum, v, i) => (sum * 31 + v) % 1000003, 7); }})()"
)


def saved_in(folder):
    """The file that the page saves, as soon as it is there."""
    saved, until = folder / "labels.json", time.monotonic() + 20
    while not (saved.exists() and saved.stat().st_size):
        assert time.monotonic() < until
        time.sleep(0.02)
    return saved


@pytest.mark.parametrize("kind", ["flat", "solid"])
def test_twelve_pairs_are_read_and_a_closed_tab_loses_nothing(browser, runs, serve, kind):
    page = page_of(runs / kind)
    pressed = ["copy", "novel", "unsure", "novel", "copy", "copy", *["novel", "copy"] * 3]
    address = serve(page)
    browser.open(address)
    read(browser, 1, pressed[:3], 12)
    read(browser, 4, pressed[3:6], 12, by="mouse")
    wait_for(page, pressed[:6])
    browser.new_tab()
    browser.open(address)
    read(browser, 7, pressed[6:], 12)
    wait_for(page, pressed)
    browser.expect("document.getElementById('told').textContent.startsWith('All 12')", True)
    browser.click("#end")
    browser.expect("document.getElementById('told').textContent.includes('has ended')", True)


@pytest.mark.parametrize("kind", ["flat", "solid"])
def test_twelve_pairs_are_read_offline_saved_and_added(browser, runs, tmp_path, kind):
    page = page_of(runs / kind)
    file = page.export(tmp_path / "pairs.html")
    browser.save_into(tmp_path / "saved")
    pressed = ["novel", "copy", "copy", "unsure"] * 3
    browser.open(file)
    read(browser, 1, pressed[:6], 12)
    browser.expect(f"{AT}.startsWith('pair 7 of 12, 6 read')", True)
    browser.new_tab()
    browser.open(file)
    read(browser, 7, pressed[6:], 12)
    browser.click("#save")
    saved = saved_in(tmp_path / "saved")
    assert said(page) == [None] * 12
    add_file(page.reviewed.folder, page.draw, saved)
    assert said(page) == pressed


def test_what_one_of_two_tabs_reads_is_not_asked_in_the_other(browser, runs, tmp_path):
    file = page_of(runs / "flat", reader="two").export(tmp_path / "pairs.html")
    browser.open(file)
    read(browser, 1, ["novel"], 12)
    browser.expect(f"{AT}.startsWith('pair 2 of 12, 1 read')", True)
    with browser.second_tab():
        browser.open(file)
        read(browser, 2, ["copy", "copy"], 12)
    browser.expect(f"{AT}.startsWith('pair 4 of 12, 3 read') && {SHOWN}", True)
    browser.press("ArrowLeft")
    pressed = "document.querySelector('[aria-pressed=true][data-label]').dataset.label"
    browser.expect(pressed, "copy")


def test_a_label_is_changed_by_going_back(browser, runs, serve):
    page = page_of(runs / "flat")
    browser.open(serve(page))
    read(browser, 1, ["novel", "novel"], 12)
    browser.expect(f"{AT}.startsWith('pair 3 of 12,') && {SHOWN}", True)
    browser.press("ArrowLeft")
    browser.expect(f"{AT}.startsWith('pair 2 of 12,') && {SHOWN}", True)
    assert browser.evaluate("document.querySelector('[aria-pressed=true][data-label]').innerText")
    browser.press("2")
    wait_for(page, ["novel", "copy", None])
    browser.expect(f"{AT}.startsWith('pair 3 of 12, 2 read')", True)


@pytest.mark.parametrize("kind", ["flat", "solid"])
def test_pictures_are_turned_windowed_zoomed_and_laid_over_each_other(browser, runs, serve, kind):
    page = page_of(runs / kind)
    browser.open(serve(page))
    browser.expect(SHOWN, True)

    def changes(act, canvas):
        before = browser.evaluate(PIXELS.format(canvas))
        act()
        until = time.monotonic() + 20
        while (after := browser.evaluate(PIXELS.format(canvas))) == before:
            assert time.monotonic() < until, act
        return after

    first = browser.evaluate(PIXELS.format(1))
    for key in "mvr":  # the synthetic image alone
        still = browser.evaluate(PIXELS.format(0))
        changes(lambda key=key: browser.press(key), 1)
        assert browser.evaluate(PIXELS.format(0)) == still
    browser.press("0")
    browser.expect(PIXELS.format(1), first)
    changes(lambda: browser.drag("canvas", 60, 40), 0)
    changes(lambda: browser.press("+"), 1)
    browser.press("0")
    browser.expect(PIXELS.format(1), first)
    if kind == "solid":
        slices = "[...document.querySelectorAll('input[type=range]')].map(x => +x.value)"
        assert browser.evaluate(slices) == [5, 6, 4]
        before = browser.evaluate(PIXELS.format(0))
        changes(lambda: browser.press("ArrowUp"), 1)  # both images at once
        assert (
            browser.evaluate(slices) == [6, 6, 4] and browser.evaluate(PIXELS.format(0)) != before
        )
    for key in "cdb":
        changes(lambda key=key: browser.press(key), 0)
        browser.expect("document.querySelectorAll('.half')[1].hidden", True)
    changes(lambda: None, 0)  # it blinks by itself


def test_the_slices_of_a_slider_in_focus_are_scrolled(browser, runs, serve):
    browser.open(serve(page_of(runs / "solid")))
    browser.expect(SHOWN, True)
    browser.evaluate("document.querySelectorAll('input[type=range]')[2].focus()")
    browser.press("ArrowUp")
    slices = "[...document.querySelectorAll('input[type=range]')].map(x => +x.value)"
    browser.expect(slices, [5, 6, 5])


def test_from_the_end_one_goes_back_to_the_last_pair_or_looks_from_the_first(browser, runs, serve):
    page = page_of(runs / "flat")
    browser.open(serve(page))
    read(browser, 1, ["novel"] * 12, 12)
    browser.expect(AT, "12 pairs, 12 read")
    browser.press("ArrowLeft")
    browser.expect(f"{AT}.startsWith('pair 12 of 12,') && {SHOWN}", True)
    browser.press("2")
    browser.expect(AT, "12 pairs, 12 read")
    for _ in "pp":  # a pause ends where it began
        browser.press("p")
    browser.expect("document.getElementById('told').textContent.startsWith('All 12')", True)
    wait_for(page, ["novel"] * 11 + ["copy"])
    browser.click("#go")
    browser.expect(f"{AT}.startsWith('pair 1 of 12,') && {SHOWN}", True)


def test_a_held_enter_labels_one_pair(browser, runs, serve):
    page = page_of(runs / "flat")
    browser.open(serve(page))
    browser.expect(SHOWN, True)
    browser.evaluate("document.querySelector('[data-label=copy]').focus()")
    enter = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
    browser("Input.dispatchKeyEvent", type="keyDown", **enter)
    for _ in range(3):
        browser.expect(f"{AT}.startsWith('pair 2 of 12, 1 read') && {SHOWN}", True)
        browser("Input.dispatchKeyEvent", type="keyDown", autoRepeat=True, **enter)
    browser.expect(f"{AT}.startsWith('pair 2 of 12, 1 read') && {SHOWN}", True)
    wait_for(page, ["copy", None])


def test_labels_that_the_server_has_lost_are_sent_again(browser, runs, serve):
    page = page_of(runs / "flat")
    address = serve(page)
    browser.open(address)
    read(browser, 1, ["copy", "novel"], 12)
    wait_for(page, ["copy", "novel"])
    labels_path(page.reviewed.folder, "anna").unlink()
    browser.new_tab()
    browser.open(address)
    wait_for(page, ["copy", "novel", None])


def test_labels_of_a_stopped_server_are_saved_as_a_file_and_added(browser, runs, serve, tmp_path):
    page = page_of(runs / "flat")
    browser.save_into(tmp_path / "saved")
    browser.open(serve(page))
    browser.expect(f"{SHOWN} && document.getElementById('save').hidden", True)
    stop = "window.fetch = () => Promise.reject(new Error('stopped'))"
    browser.evaluate(f"window.answered = window.fetch; {stop}; null")
    browser.press("2")
    browser.expect("document.getElementById('save').hidden", False)
    browser.click("#save")
    add_file(page.reviewed.folder, page.draw, saved_in(tmp_path / "saved"))
    assert said(page) == ["copy"] + [None] * 11
    browser.evaluate("window.fetch = window.answered; null")  # it runs again
    browser.expect("document.getElementById('save').hidden", True)


def test_two_tabs_of_one_file_keep_the_labels_of_both(browser, runs, tmp_path):
    page = page_of(runs / "flat", reader="ben")
    browser.save_into(tmp_path / "saved")
    browser.open(page.export(tmp_path / "pairs.html"))
    read(browser, 1, ["novel"], 12)
    browser.expect(f"{AT}.startsWith('pair 2 of 12, 1 read') && {SHOWN}", True)
    key = json.dumps(f"memtk-review {page.draw.name} ben")
    other = {"label": "copy", "seconds": 1, "at": time.time()}
    browser.evaluate(  # as the other tab does
        f"(() => {{ const kept = JSON.parse(localStorage.getItem({key}));"
        f"kept.labels['{page.names[2]}'] = {json.dumps(other)};"
        f"localStorage.setItem({key}, JSON.stringify(kept)); }})()"
    )
    browser.press("3")
    browser.expect(f"{AT}.startsWith('pair 4 of 12, 3 read') && {SHOWN}", True)
    browser.click("#save")
    add_file(page.reviewed.folder, page.draw, saved_in(tmp_path / "saved"))
    assert said(page) == ["novel", "unsure", "copy"] + [None] * 9


def test_the_page_is_dark_and_readable_where_that_is_preferred(browser, runs, serve):
    page = page_of(runs / "flat")
    colour = "getComputedStyle(document.querySelector('{}')).{}.match(/\\d+/g).map(Number)"
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser("Emulation.setEmulatedMedia", features=dark)
    try:
        browser.open(serve(page))
        browser.expect(SHOWN, True)
        ground = browser.evaluate(colour.format("body", "backgroundColor"))
        face = browser.evaluate(colour.format("button", "backgroundColor"))
        inks = [browser.evaluate(colour.format(e, "color")) for e in ("#count", ".help")]
        button = browser.evaluate(colour.format("button", "color"))
    finally:
        browser("Emulation.setEmulatedMedia", features=[])
    assert max(ground) < 40 and max(face) < 60
    assert min(contrast(ink, ground) for ink in inks) >= 4.5 <= contrast(button, face)


def contrast(first, second):
    """The contrast of WCAG 2 between two colours of 8 bits."""

    def linear(value):
        part = value / 255
        return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4

    weights = (0.2126, 0.7152, 0.0722)
    low, high = sorted(
        sum(w * linear(value) for w, value in zip(weights, rgb, strict=True))
        for rgb in (first, second)
    )
    return (high + 0.05) / (low + 0.05)


def test_a_pause_hides_the_pictures_and_stops_the_time(browser, runs, serve):
    page = page_of(runs / "flat")
    browser.open(serve(page))
    browser.expect(SHOWN, True)
    browser.expect("document.getElementById('time').textContent >= '0:01'", True)
    browser.press("p")
    browser.expect("document.getElementById('views').hidden", True)
    browser.press("2")  # is not taken
    paused = time.monotonic()
    time.sleep(2)
    browser.press("p")
    paused = time.monotonic() - paused
    browser.expect(f"{SHOWN} && {AT}.startsWith('pair 1 of 12, 0 read')", True)
    browser.press("2")
    wait_for(page, ["copy"])
    taken = browser.evaluate("performance.now() / 1000")  # since the page was opened
    [kept] = read_labels(page.reviewed.folder, page.draw, "anna").labels.values()
    assert 0.9 <= kept.seconds <= taken - paused + 0.3


def test_sixteen_bits_of_both_images_reach_the_page(runs):
    page = page_of(runs / "flat")
    name = page.names[0]
    training, other = page.reviewed.read(next(p for p in page.draw.pairs if p.name == name))
    shown = page.voxels(name)
    assert len(shown) == 2 * 2 * training.size
    [first, second] = [
        [int.from_bytes(shown[i : i + 2], "little") / 65535 * 2 - 1 for i in range(a, a + 512, 2)]
        for a in (0, len(shown) // 2)
    ]
    assert first == pytest.approx(training.ravel(), abs=2 / 65535)
    assert second == pytest.approx(other.ravel(), abs=2 / 65535)


@pytest.mark.parametrize("kind", ["flat", "solid"])
def test_nothing_on_the_page_or_in_a_request_tells_what_a_pair_is(browser, runs, serve, kind):
    page = page_of(runs / kind)
    address = serve(page)
    browser.open(address)
    read(browser, 1, ["copy", "novel"], 12)
    browser.expect(f"{AT}.startsWith('pair 3 of 12,') && {SHOWN}", True)
    asked = browser.evaluate("performance.getEntriesByType('resource').map(e => e.name)")
    assert {name.removeprefix(address).partition("/")[0] for name in asked} == {"pair", "labels"}
    texts = [*asked, browser.evaluate("document.documentElement.outerHTML")]
    texts.append(page.html(offline=True))
    texts.append(page.reviewed.folder.joinpath("pairs.json").name)
    pairs = {pair.name: pair for pair in page.draw.pairs}
    similarity = [*page.reviewed.similarity("training"), *page.reviewed.similarity("synthetic")]
    for text in texts:
        for secret in ("planted", "stranger", "drawn", "memoriz", PATIENT, "Doe", "hospital"):
            assert secret not in text, secret
        assert not [s for s in similarity if f"{s:.4f}"[1:] in text]
    sizes = {len(page.voxels(name)) for name in page.names}
    assert len(sizes) == 1  # the length of an answer tells nothing
    saved = json.loads(read_labels(page.reviewed.folder, page.draw, "anna").model_dump_json())
    assert saved.keys() == {"schema_version", "memtk_version", "draw", "reader", "labels"}
    assert PATIENT not in json.dumps(saved) and set(saved["labels"]) <= set(pairs)


def test_a_file_leads_the_browser_to_the_page(browser, runs, serve, tmp_path):
    from memtk.cli.review import leading_page

    address, file = serve(page_of(runs / "flat")), tmp_path / "open.html"
    file.write_text(leading_page(address))
    browser("Page.navigate", url=file.as_uri())
    browser.expect(f"location.href === '{address}' && {SHOWN}", True)
