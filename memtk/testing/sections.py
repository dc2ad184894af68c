"""What every section of the report must keep to."""

from __future__ import annotations

import copy
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np

from memtk.data.images import MemoryImages
from memtk.interfaces import ReportRun, SectionContent
from memtk.interfaces.report import PLACES, Page
from memtk.report.pictures import encode_png
from memtk.report.plugin_sections import BUDGET, embed
from memtk.testing.assertions import applies, expect
from memtk.testing.case import FLAT, Case, smooth_images
from memtk.testing.fakes import PATH, SCRIPT, hostile_audit, hostile_result

VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}
"""Elements without an end tag."""


def check_title_is_a_line(case: Case) -> None:
    """It has a heading."""
    title = case.make().title
    expect(
        isinstance(title, str) and bool(title.strip()) and "\n" not in title,
        f"{case.cls.__name__}.title is {title!r}, not a line of text",
    )


def check_place_is_known(case: Case) -> None:
    """It stands in the report of a bench, of an audit, or of both, after a section of these."""
    section, name = case.make(), case.cls.__name__
    pages = _pages(case)
    known = bool(pages) and not isinstance(pages, str) and set(pages) <= set(PLACES)
    expect(known, f"{name}.pages is {pages!r}; expected some of {tuple(PLACES)}")
    after = getattr(section, "after", "")
    places = [place for page in pages for place in PLACES[page]]
    shown = ", ".join(dict.fromkeys(places))
    expect(after in ("", *places), f"{name}.after is {after!r}; expected one of {shown}")


def check_sections_are_html_or_none(case: Case) -> None:
    """A section is text whose elements are closed, maybe with figures, or None to be left out."""
    name = case.cls.__name__
    for body in _bodies(case):
        expect(
            body is None or isinstance(body, str | SectionContent),
            f"{name} gives a {type(body).__name__}, not HTML, SectionContent or None",
        )
    for content in _contents(case):
        open_ = _Elements(content.html).open
        expect(not open_, f"{name} gives HTML in which {open_[:1]} does not fit")


def check_figures_can_be_embedded(case: Case) -> None:
    """A figure is one of matplotlib, an SVG or a PNG, says what it shows, and is not too large."""
    name, size = case.cls.__name__, 0
    for content in _shown(case):
        size += len(content.html.encode())
        for figure in content.figures:
            expect(bool(figure.alt.strip()), f"{name} has a figure without a description (alt)")
            try:
                size += len(embed(figure).uri)
            except Exception as error:
                raise AssertionError(
                    f"{name} has a figure that cannot be shown: {error}"
                ) from error
    expect(size <= BUDGET, f"{name} takes up {size} bytes of a page; the most is {BUDGET}")


def check_names_are_escaped(case: Case) -> None:
    """What comes from a result is text, never markup."""
    for content in _shown(case):
        expect(
            SCRIPT not in content.html,
            f"{case.cls.__name__} puts a name into its HTML as it is; escape it (html.escape)",
        )


def check_no_file_is_named(case: Case) -> None:
    """A report goes to people who must not see where the images lie."""
    for content in _shown(case):
        texts = [content.html, *(f"{f.alt} {f.caption}" for f in content.figures)]
        named = any(PATH in text for text in texts)
        expect(not named, f"{case.cls.__name__} shows the path of a file")


def check_sections_work_offline(case: Case) -> None:
    """Nothing is fetched: no link, picture, style or script from elsewhere."""
    for content in _shown(case):
        body = content.html
        outside = re.findall(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//[^"'\s>]+""", body)
        outside += re.findall(r"""url\(\s*["']?(?:https?:)?//|@import""", body)
        expect(not outside, f"{case.cls.__name__} fetches {outside[:1]}; it must work offline")


def check_sections_are_the_same_each_time(case: Case) -> None:
    """Same result in, same HTML and figures out."""
    once, again = (
        [(c.html, [embed(figure) for figure in c.figures]) for c in _contents(case)]
        for _ in range(2)
    )
    expect(once == again, f"{case.cls.__name__} gives something else the second time")


def check_results_stay_as_they_are(case: Case) -> None:
    """The result and the arrays that it is given are not changed: other sections read them too."""
    for run in _runs(case):
        before = copy.deepcopy((run.result, run.arrays))
        case.make()(run)
        same = run.result == before[0] and all(
            np.array_equal(array, before[1][label][name])
            for label, arrays in run.arrays.items()
            for name, array in arrays.items()
        )
        expect(same, f"{case.cls.__name__} changes the result it is given")


def _pages(case: Case) -> Any:
    return getattr(case.make(), "pages", ("bench",))


def _runs(case: Case) -> list[ReportRun]:
    """Return the runs that it is shown, made up, with ten images of each kind."""
    return [_made_up(page) for page in PLACES if page in _pages(case)]


def _made_up(page: Page) -> ReportRun:
    x = {
        split: smooth_images(FLAT, 10, seed)
        for seed, split in enumerate(("training", "validation", "synthetic"))
    }
    rng = np.random.default_rng(0)
    names = ("train_synthetic", "train_validation", "synthetic_train", "validation_train")
    arrays = {name: rng.uniform(0, 1, 10) for name in names}
    return ReportRun(
        page=page,
        result=hostile_result() if page == "bench" else hostile_audit(),
        arrays={"step-000001": arrays, "step-000002": arrays}
        if page == "bench"
        else {"audit": arrays},
        images={split: MemoryImages(images) for split, images in x.items()},
        short_name=lambda split, row: hashlib.sha256(f"{split} {row}".encode()).hexdigest()[:8],
        picture=lambda split, row: (encode_png(x[split][row, 0].numpy() / 2 + 0.5),),
    )


def _bodies(case: Case) -> list[Any]:
    return [case.make()(run) for run in _runs(case)]


def _contents(case: Case) -> list[SectionContent]:
    bodies = [body for body in _bodies(case) if body is not None]
    return [SectionContent(body) if isinstance(body, str) else body for body in bodies]


def _shown(case: Case) -> list[SectionContent]:
    contents = _contents(case)
    applies(bool(contents), "it leaves itself out of the reports of the check")
    return contents


class _Elements(HTMLParser):
    """Collects the elements that are not closed, or closed without being open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in VOID:
            self.open.append(f"<{tag}>")

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        """Leave an element out that closes itself, as in SVG."""

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == f"<{tag}>":
            self.open.pop()
        elif tag not in VOID:
            self.open.append(f"</{tag}>")
