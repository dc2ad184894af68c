"""Pages from templates: one file each, whose only script is the one that is named by its hash."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from memtk import __version__
from memtk.results.formats import interval, many, percent, share, unbroken

_HERE = Path(__file__).parent
_REPORT = _HERE.parent / "report"


def render(template: str, **values: Any) -> str:
    """Return a page. What a template does not find among the values is an error.

    Results come from strangers: all text is escaped, and the page's policy forbids the browser to
    load anything or to run any script but ours.

    Args:
        template: its file name.
        values: what it shows.
    """
    environment = Environment(
        loader=FileSystemLoader([_HERE, _REPORT]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": lambda fraction: unbroken(percent(fraction)),
        "interval": lambda r, confidence: unbroken(interval(r.low, r.high, confidence)),
        "share": lambda fraction: unbroken(share(fraction)),
        "unbroken": unbroken,
        "many": many,
    }
    css = "".join(
        (folder / name).read_text(encoding="utf-8")
        for folder, name in ((_REPORT, "style.css"), (_HERE, "site.css"))
    )
    script = (_HERE / "site.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template(template).render(
        css=Markup(css),
        script=Markup(script),
        script_hash=f"sha256-{digest}",
        version=__version__,
        **values,
    )
