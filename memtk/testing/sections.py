"""What every section of the report must keep to."""

from __future__ import annotations

import copy
import re
from html.parser import HTMLParser
from typing import Any

from memtk.testing.assertions import applies, expect
from memtk.testing.case import Case
from memtk.testing.fakes import PATH, SCRIPT, audit, result

VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}
"""Elements without an end tag."""


def check_title_is_a_line(case: Case) -> None:
    """It has a heading."""
    title = case.make().title
    expect(
        isinstance(title, str) and bool(title.strip()) and "\n" not in title,
        f"{case.cls.__name__}.title is {title!r}, not a line of text",
    )


def check_sections_are_html_or_none(case: Case) -> None:
    """A section is text whose elements are closed, or None to be left out."""
    for body in _bodies(case):
        expect(
            body is None or isinstance(body, str),
            f"{case.cls.__name__} gives a {type(body).__name__}, not HTML or None",
        )
        if body is not None:
            open_ = _Elements(body).open
            expect(not open_, f"{case.cls.__name__} gives HTML in which {open_[:1]} does not fit")


def check_names_are_escaped(case: Case) -> None:
    """What comes from a result is text, never markup."""
    for body in _shown(case):
        expect(
            SCRIPT not in body,
            f"{case.cls.__name__} puts a name into its HTML as it is; escape it (html.escape)",
        )


def check_no_file_is_named(case: Case) -> None:
    """A report goes to people who must not see where the images lie."""
    for body in _shown(case):
        expect(PATH not in body, f"{case.cls.__name__} shows the path of a file")


def check_sections_work_offline(case: Case) -> None:
    """Nothing is fetched: no link, picture, style or script from elsewhere."""
    for body in _shown(case):
        outside = re.findall(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//[^"'\s>]+""", body)
        outside += re.findall(r"""url\(\s*["']?(?:https?:)?//|@import""", body)
        expect(not outside, f"{case.cls.__name__} fetches {outside[:1]}; it must work offline")


def check_sections_are_the_same_each_time(case: Case) -> None:
    """Same result in, same HTML out."""
    expect(_bodies(case) == _bodies(case), f"{case.cls.__name__} gives other HTML the second time")


def check_results_stay_as_they_are(case: Case) -> None:
    """The result it is given is not changed: other sections read it too."""
    for given in _given(case):
        before = copy.deepcopy(given)
        case.make()(given)
        expect(given == before, f"{case.cls.__name__} changes the result it is given")


def _given(case: Case) -> list[dict[str, Any]]:
    """Return a cell's result, and that of an audit if the section reads such."""
    return [result(), audit()] if getattr(case.make(), "audits", False) else [result()]


def _bodies(case: Case) -> list[Any]:
    return [case.make()(given) for given in _given(case)]


def _shown(case: Case) -> list[str]:
    bodies = [str(body) for body in _bodies(case) if body is not None]
    applies(bool(bodies), "it leaves itself out of the reports of the check")
    return bodies


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


REPORT = (
    check_title_is_a_line,
    check_sections_are_html_or_none,
    check_names_are_escaped,
    check_no_file_is_named,
    check_sections_work_offline,
    check_sections_are_the_same_each_time,
    check_results_stay_as_they_are,
)
