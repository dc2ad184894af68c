"""The site as a reader uses it: sorted, filtered, unfolded, on a phone, in the dark."""

from __future__ import annotations

import pytest

from memtk.leaderboard import write_site


@pytest.fixture
def page(proven, tmp_path):
    other = {"suite": {"name": "elsewhere", "version": "1"}, "rate": (0.3, 0.2, 0.4)}
    entries = (
        ("monai2d", {"rate": (0.2, 0.1, 0.3), "quality": {"fid": 3.0}}),
        ("other", {"rate": (0.9, 0.8, 1.0), "quality": {"fid": 20.0}}),
        ("apart", {**other, "data": {"spec": {"shape": [8, 8, 8]}}}),
    )
    return write_site(proven(*entries), tmp_path / "site")


ROWS = (
    "[...document.querySelectorAll('section.board:not([data-off]) table.board tbody tr')]"
    ".map(row => row.cells[1].querySelector('b').textContent)"
)
SHOWN = "[...document.querySelectorAll('section.board:not([data-off]) h2')].map(h => h.textContent)"


HEADS = "[...document.querySelectorAll('[aria-sort]')].map(h => h.getAttribute('aria-sort'))"


def test_a_click_sorts_and_a_second_one_turns_round(browser, page):
    browser.open(page)
    browser.expect(ROWS, ["apart", "independent", "monai2d", "other", "copycat"])
    browser.click("input[name=quality]")
    fid = "section:nth-of-type(2) th[data-key='quality fid'] button"
    browser.click(fid)
    browser.expect(ROWS, ["apart", "monai2d", "other", "independent", "copycat"])
    assert browser.evaluate(HEADS) == ["ascending"]
    browser.click(fid)
    browser.expect(ROWS, ["apart", "other", "monai2d", "independent", "copycat"])
    assert browser.evaluate(HEADS) == ["descending"]
    browser.click("section:nth-of-type(2) th[data-key=generator] button")
    browser.expect(ROWS, ["apart", "copycat", "independent", "monai2d", "other"])


CHOOSE = (
    "(() => {{ const e = document.querySelector('select[name={0}]'); e.value = '{1}';"
    "e.dispatchEvent(new Event('change')); }})()"
)


def test_tables_are_filtered_by_suite_dimension_and_protocol(browser, page):
    browser.open(page)
    assert browser.evaluate(SHOWN) == ["elsewhere, version 1", "phantom2d, version 1"]
    for name, value, shown in (
        ("suite", "phantom2d", ["phantom2d, version 1"]),
        ("dim", "3D", []),
        ("suite", "", ["elsewhere, version 1"]),
    ):
        browser.evaluate(CHOOSE.format(name, value))
        browser.expect(SHOWN, shown)
    browser.evaluate(CHOOSE.format("protocol", "dar"))
    groups = (
        "[...new Set([...document.querySelectorAll('section:not([data-off]) td[data-group]')]"
        ".filter(c => getComputedStyle(c).display !== 'none').map(c => c.dataset.group))]"
    )
    browser.expect(groups, ["dar"])


FOLDED = (
    "[...document.querySelectorAll('[data-fold=quality]')]"
    ".map(c => getComputedStyle(c).display === 'none').join()"
)


def test_quality_is_folded_until_it_is_asked_for(browser, page):
    browser.open(page)
    cells = browser.evaluate("document.querySelectorAll('[data-fold=quality]').length")
    assert cells == 6  # two heads and four rows
    browser.expect(FOLDED, ",".join(["true"] * cells))
    browser.click("input[name=quality]")
    browser.expect(FOLDED, ",".join(["false"] * cells))
    browser.evaluate("location.hash = '#suite=phantom2d'")
    browser.expect(FOLDED, ",".join(["true"] * cells))
    assert not browser.evaluate("document.querySelector('input[name=attack]')")  # none was run


@pytest.fixture
def wide(proven, browser, tmp_path):
    """A page with many columns and long names, and the screen that it is seen on."""
    quality = {f"measure{number}[ntxent2d]": 1 / (number + 3) for number in range(8)}
    entries = (
        ("monai2d", {"quality": quality, "mitigations": ("augment", "release-filter")}),
        ("monai2d", {"seed": 1, "quality": quality, "mitigations": ("augment", "release-filter")}),
        ("noise", {"synthetic": (0.0005, 0.9, False), "quality": quality}),
    )
    page = write_site(proven(*entries), tmp_path / "wide")

    def screen(width, scheme="light"):
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        browser("Emulation.setDeviceMetricsOverride", **size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser("Emulation.setEmulatedMedia", features=features)
        browser.open(page)
        browser.evaluate("location.hash = '#quality=shown'")
        browser.expect("document.querySelector('input[name=quality]').checked", True)

    yield screen
    browser("Emulation.clearDeviceMetricsOverride")
    browser("Emulation.setEmulatedMedia", features=[])


ALONGSIDE = (
    "(() => { const s = document.querySelector('.scroll'); s.scrollLeft = 1e6;"
    "const inside = c => { const r = c.getBoundingClientRect();"
    "return r.left >= 0 && r.right <= innerWidth; };"
    "return [s.scrollLeft > 0, ...[...s.querySelectorAll('tbody tr')].map("
    "r => inside(r.cells[0]) && inside(r.cells[1]) && inside(r.cells[r.cells.length - 1]))]; })()"
)
TALLEST = (
    "Math.max(...[...document.querySelectorAll('table.board tbody tr > *')].map("
    "c => { const r = document.createRange(); r.selectNodeContents(c);"
    "return Math.round(r.getBoundingClientRect().height"
    " / parseFloat(getComputedStyle(c).lineHeight)); }))"
)


@pytest.mark.parametrize("width", [400, 1000, 1400])
def test_rank_and_generator_stay_in_view_and_no_cell_has_five_lines(browser, wide, width):
    wide(width)
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert browser.evaluate(ALONGSIDE) == [True] * 5
    assert browser.evaluate(TALLEST) <= 4


def test_a_table_with_folded_quality_fits_on_a_sheet(browser, wide):
    wide(1016)  # A4 on its side, less the margins
    browser.evaluate("location.hash = ''")
    browser.expect("document.querySelector('input[name=quality]').checked", False)
    browser("Emulation.setEmulatedMedia", media="print")
    ends = "[...document.querySelectorAll('table.board')].map(t => t.getBoundingClientRect().right)"
    assert max(browser.evaluate(ends)) <= 1016
    assert (
        browser.evaluate("getComputedStyle(document.querySelector('.filters')).display") == "none"
    )
    # nothing that stands above a table is printed at the end of the sheet before it
    above = "[...document.querySelectorAll('section.board > h2, section.board > p:not(.note)')]"
    assert set(browser.evaluate(f"{above}.map(e => getComputedStyle(e).breakAfter)")) == {"avoid"}
    browser("Emulation.setEmulatedMedia", media="")


BRIGHTNESS = (
    "(() => { const light = c => { const [r, g, b] = c.match(/[\\d.]+/g);"
    "return (0.3 * r + 0.6 * g + 0.1 * b) / 255; };"
    "const style = e => getComputedStyle(document.querySelector(e));"
    "return ['body', 'table.board tbody th', 'tr.truth td', '.filters'].map("
    "e => [light(style(e).backgroundColor), light(style(e).color)]); })()"
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_light_of_the_system(browser, wide, scheme):
    wide(1000, scheme)
    for paper, ink in browser.evaluate(BRIGHTNESS):
        assert (paper < 0.25 and ink > 0.6) if scheme == "dark" else (paper > 0.9 and ink < 0.3)


def test_a_row_that_is_not_ranked_leads_to_its_reason(browser, wide):
    wide(1400)
    assert "unlike the data" in browser.evaluate("document.querySelector('tr.unranked').innerText")
    browser.click("tr.unranked th a")
    browser.expect("document.querySelector('p.note:target').innerText.includes('no rank')", True)


def test_a_reader_who_does_not_see_finds_the_main_part_and_headings_in_order(browser, page):
    for shown in (page, *page.parent.glob("runs/*/index.html")):
        browser.open(shown)
        parts = "[...document.body.children].map(e => e.tagName).join(' ')"
        assert browser.evaluate(parts).removesuffix(" SCRIPT") == "MAIN FOOTER"
        headings = "[...document.querySelectorAll('h1,h2,h3,h4')].map(e => +e.tagName[1])"
        levels = browser.evaluate(headings)
        assert levels[0] == 1
        assert all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False)), shown


def test_a_link_brings_back_what_was_seen(browser, page):
    browser.open(page)
    browser.evaluate("location.hash = '#suite=phantom2d&sort=-copy_rate'")
    browser.expect(ROWS, ["copycat", "other", "monai2d", "independent"])
    assert browser.evaluate("document.querySelector('select[name=suite]').value") == "phantom2d"


def test_a_seed_leads_to_its_run_and_back(browser, page):
    browser.open(page)
    browser.click("table.board tbody tr td:last-child a")
    browser.expect("document.title.startsWith('apart, seed 0')", True)
    assert "memtk results rerun result.json" in browser.evaluate("document.body.innerText")
    browser.click("a[href='../../index.html']")
    browser.expect("document.title.startsWith('Leaderboard')", True)


def test_without_the_script_every_table_is_there(browser, page):
    browser("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(page)
    assert browser.evaluate("document.querySelectorAll('section.board').length") == 2
    assert browser.evaluate("document.querySelector('form').hidden")
    assert browser.evaluate("document.querySelectorAll('th button').length") == 0
    assert "true" not in browser.evaluate(FOLDED)
    browser("Emulation.setScriptExecutionDisabled", value=False)
