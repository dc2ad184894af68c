"""Pages: a title and sections made from templates, in one HTML file that works offline."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from memtk import __version__
from memtk.errors import many
from memtk.files import write_text
from memtk.report.provenance import SEPARATOR
from memtk.results.formats import duration, ends, interval, number, p_value, share

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Figure:
    """A figure of a page.

    Args:
        uri: `data:` URI of an SVG or PNG.
        alt: what it shows, for readers who do not see it.
        width: on the page in CSS pixels; 0 for all of it.
        narrow: the same for a phone; empty for none.
    """

    uri: str
    alt: str
    caption: str = ""
    width: int = 0
    narrow: str = ""


def figures_of(draw: Callable[[], str | None], alt: str, caption: str = "") -> list[Figure]:
    """Return what is drawn as a figure, for wide pages and for phones; nothing of None."""
    uri, narrow = both_widths(draw)
    return [] if uri is None else [Figure(uri, alt, caption, narrow=narrow or "")]


def both_widths(draw: Callable[[], str | None]) -> tuple[str | None, str | None]:
    """Return the URI of what is drawn for wide pages, and for phones; None where nothing is."""
    from memtk.report.figures.style import narrow  # numpy, which a leaderboard needs not

    uri = draw()
    if uri is None:
        return None, None
    with narrow():
        return uri, draw()


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Args:
        name: what links lead to, and after which a plugin may ask to stand ("pairs").
        title: its heading; empty for none.
        parts: sections within it: those of one cell, or of an audit.
        css: further classes of a section with parts.
    """

    name: str
    title: str
    body: Markup
    parts: tuple[Section, ...] = ()
    css: str = ""


@dataclass(frozen=True)
class Page:
    """A page: the question that it answers, what was compared, and sections from the top down."""

    title: str
    lead: str
    sections: tuple[Section, ...]


def make_section(
    name: str,
    title: str,
    template: str,
    *,
    parts: Sequence[Section] = (),
    css: str = "",
    **values: Any,
) -> Section:
    """Return a section whose body is made from a template; see `render`."""
    return Section(name, title, Markup(render(template, **values)), tuple(parts), css)


def figure_section(name: str, title: str, *figures: Figure, note: str = "") -> Section:
    """Return a section of figures, with a note below them."""
    return make_section(name, title, "figures.html", figures=figures, note=note)


def write_page(folder: Path, page: Page) -> Path:
    """Write `folder/report.html` and return its path. The same page gives the same bytes."""
    path = folder / "report.html"
    write_text(path, render("page.html", page=page, css=style(), version=__version__))
    return path


def is_page(text: str) -> bool:
    """Tell whether a text is a report of memtk's, of today or of an older version."""
    return '<meta name="robots" content="noindex">' in text[:1000] and "memtk" in text


def style() -> Markup:
    """Return the style sheet of all pages."""
    return Markup((_TEMPLATES / "style.css").read_text(encoding="utf-8"))


def render(template: str, **values: Any) -> str:
    """Return HTML. What a template does not find among the values is an error.

    Args:
        values: what it shows; texts are escaped.
    """
    return open_templates().get_template(template).render(**values)


@cache
def open_templates(*folders: Path) -> Environment:
    """Return the templates of some folders, then those of the report, with its filters."""
    environment = Environment(
        loader=FileSystemLoader([*folders, _TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "share": share,
        "ends": lambda r: ends(r.low, r.high),
        "interval": lambda r, confidence: interval(r.low, r.high, confidence),
        "command": _command,
        "many": many,
        "scale": scale,
        "duration": duration,
        "tenth": lambda value: f"{value:.1f}".removesuffix(".0"),
        "number": number,
        "p_value": p_value,
        "relation": lambda text: text.replace("<=", "≤"),
    }
    return environment


def scale(values: list[float | None]) -> float:
    """Return the end of a bar on which all values can be seen: 0.1, 0.25, 0.5 or 1.

    >>> scale([0.02, None, 0.05]), scale([0.3]), scale([])
    (0.1, 0.5, 0.1)
    """
    largest = max((value for value in values if value is not None), default=0.0)
    return next((end for end in (0.1, 0.25, 0.5) if largest <= end), 1.0)


def _command(text: str) -> Markup:
    """Show a command on as few lines as it takes; no option of it is broken at a hyphen."""
    whole = Markup('<span class="whole">{}</span>')
    parts = re.split(r"(--\w[\w-]*)", text.replace(SEPARATOR, " "))
    return Markup("").join(whole.format(p) if n % 2 else p for n, p in enumerate(parts))
