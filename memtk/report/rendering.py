"""Puts a page together from its template: one HTML file that works offline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from memtk import __version__
from memtk.report.measures import shown
from memtk.results import percent
from memtk.results.wording import interval, many, share

_HERE = Path(__file__).parent


def render(template: str, **values: Any) -> str:
    """Return a page. What a template does not find among the values is an error.

    Args:
        template: its file name.
        values: what it shows; texts are escaped.
    """
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": lambda fraction: unbroken(percent(fraction)),
        "share": lambda fraction: unbroken(share(fraction)),
        "interval": lambda r, confidence: unbroken(interval(r.low, r.high, confidence)),
        "many": many,
        "unbroken": unbroken,
        "scale": scale,
        "seconds": seconds,
        "tenth": lambda value: f"{value:.1f}".removesuffix(".0"),
        "shown": shown,
    }
    css = Markup((_HERE / "style.css").read_text(encoding="utf-8"))
    return environment.get_template(template).render(css=css, version=__version__, **values)


def unbroken(text: str) -> str:
    """Keep a number and its percent sign on one line."""
    return text.replace(" %", "\u00a0%")


def scale(values: list[float | None]) -> float:
    """Return the end of a bar on which all values can be seen: 0.1, 0.25, 0.5 or 1.

    >>> scale([0.02, None, 0.05]), scale([0.3]), scale([])
    (0.1, 0.5, 0.1)
    """
    largest = max((value for value in values if value is not None), default=0.0)
    return next((end for end in (0.1, 0.25, 0.5) if largest <= end), 1.0)


def seconds(value: float) -> str:
    """Return a time for a reader.

    >>> [seconds(v) for v in (0.0, 12.3, 200, 9000)]
    ['–', '12 s', '3 min', '2.5 h']
    """
    if value < 0.5:
        return "–"
    if value < 90:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 5400 else f"{value / 3600:.1f} h"
