"""The pages as a reader sees them: wide, on a phone, in the dark, printed."""

from __future__ import annotations

import pytest

PAGES = ("audited", "finished")


@pytest.fixture
def shown(browser, request):
    """`shown(width, scheme, media)` opens the page of `request.param`."""
    folder = request.getfixturevalue(request.param)

    def show(width=1400, scheme="light", media="screen"):
        browser(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=900, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser("Emulation.setEmulatedMedia", media=media, features=features)
        browser.open(folder / "report.html")
        return browser

    yield show
    browser("Emulation.clearDeviceMetricsOverride")
    browser("Emulation.setEmulatedMedia", media="", features=[])


every_page = pytest.mark.parametrize("shown", PAGES, indirect=True)


@every_page
@pytest.mark.parametrize("width", [320, 400, 1000, 1400])
def test_nothing_overflows(shown, width):
    found = shown(width)
    assert found.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("shown", PAGES[1:], indirect=True)
def test_names_of_generators_take_the_whole_width_of_a_phone(shown):
    found = shown(400)
    widths = found.evaluate(
        "[...document.querySelectorAll('.overview tbody th')].map(e => e.clientWidth)"
    )
    assert widths and min(widths) > 300


@every_page
def test_figures_are_as_large_on_a_phone_that_their_letters_can_be_read(shown):
    found = shown(400)
    sizes = found.evaluate(
        "[...document.querySelectorAll('figure img')].map(i => [i.width, i.naturalWidth])"
    )
    assert len(sizes) >= 2
    for width, natural in sizes:  # letters have 9 points: 12 px at the natural width
        assert 12 * width / natural >= 9


@every_page
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_letters_stand_out_from_the_page_in_light_and_in_the_dark(shown, scheme):
    found = shown(scheme=scheme)
    light = """(() => {
      const parts = c => c.match(/[\\d.]+/g).map(Number);
      const lum = c => { const [r, g, b] = parts(c).map(v => v / 255).map(
        v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
      const behind = e => { for (; e; e = e.parentElement) {
        const c = getComputedStyle(e).backgroundColor; const p = parts(c);
        if (p.length < 4 || p[3] > 0) return c; } return 'rgb(255, 255, 255)'; };
      let least = 99;
      for (const e of document.querySelectorAll('h1, h2, h3, p, td, th, li, .badge, .tag, small')) {
        if (!e.textContent.trim() || e.closest('.hidden')) continue;
        const [a, b] = [lum(getComputedStyle(e).color), lum(behind(e))];
        least = Math.min(least, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05));
      } return least; })()"""
    assert found.evaluate(light) >= 4.5  # WCAG AA
    page = found.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (page == "rgb(255, 255, 255)") == (scheme == "light")


@every_page
def test_where_to_type_a_command_is_said_of_those_that_need_it(shown):
    found = shown()
    typed = found.evaluate("[...document.querySelectorAll('.now pre')].map(e => e.innerText)")
    needed = any(word in (".", "../..") for c in typed for word in c.split())
    said = found.evaluate("document.querySelector('.now').innerText")
    assert ("Type commands in the folder of this page" in said) == needed


@every_page
def test_a_printed_page_is_light_and_opens_what_is_folded(shown):
    found = shown(scheme="dark", media="print")
    page = found.evaluate("getComputedStyle(document.body).backgroundColor")
    assert page == "rgb(255, 255, 255)"
    heights = "[...document.querySelectorAll('details > :not(summary)')].map(e => e.clientHeight)"
    assert min(found.evaluate(heights)) > 0
    keep = "[...document.querySelectorAll('h2, h3')].map(e => getComputedStyle(e).breakAfter)"
    assert set(found.evaluate(keep)) == {"avoid"}
    first = "[...document.querySelectorAll('tbody tr:first-child')]"
    assert set(found.evaluate(f"{first}.map(e => getComputedStyle(e).breakBefore)")) == {"avoid"}
    long = "[...document.querySelectorAll('tr:has(details)')]"  # of settings: a page and more
    assert set(found.evaluate(f"{long}.map(e => getComputedStyle(e).breakInside)")) <= {"auto"}
    inside = "getComputedStyle(document.querySelector('details.counts')).breakInside"
    assert found.evaluate(inside) == "avoid"
    intros = "[...document.querySelectorAll('.part + .note, .caution + .note')]"
    assert set(found.evaluate(f"{intros}.map(e => getComputedStyle(e).breakAfter)")) <= {"avoid"}


@every_page
def test_a_reader_who_does_not_see_finds_landmarks_headings_and_names(shown):
    found = shown()
    assert found.evaluate("document.querySelectorAll('header, main, footer').length") >= 3
    outside = "[...document.body.children].filter(e => !e.matches('header, main, footer')).length"
    assert found.evaluate(outside) == 0
    levels = found.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(e => +e.tagName[1])")
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))
    unnamed = {
        "images": "[...document.images].filter(e => !e.alt).length",
        "tables": "[...document.querySelectorAll('table')].filter(e => !e.caption).length",
        "columns": "[...document.querySelectorAll('th')].filter(e => !e.scope).length",
        "scrolled": "[...document.querySelectorAll('.scroll')].filter(e => e.tabIndex).length",
    }
    assert {what: found.evaluate(code) for what, code in unnamed.items()} == dict.fromkeys(
        unnamed, 0
    )


@pytest.mark.parametrize("width", [320, 360, 400])
@pytest.mark.parametrize("shown", PAGES[:1], indirect=True)
def test_no_option_of_a_command_is_broken_across_lines(shown, width):
    lines = """[...document.querySelectorAll('.now pre .whole')].map(
      e => [e.innerText, e.getClientRects().length])"""
    found = shown(width).evaluate(lines)
    assert ["--second-similarity", 1] in found and {count for _, count in found} == {1}
