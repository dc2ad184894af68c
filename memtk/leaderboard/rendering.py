"""Pages from templates: one file each, whose only script is the one that is named by its hash."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from markupsafe import Markup

from memtk import __version__
from memtk.report.page import open_templates, style

_HERE = Path(__file__).parent


def render(template: str, **values: Any) -> str:
    """Return a page. What a template does not find among the values is an error.

    Results come from strangers: all text is escaped, and the page's policy forbids the browser to
    load anything or to run any script but ours.

    Args:
        template: its file name.
        values: what it shows.
    """
    css = style() + Markup((_HERE / "site.css").read_text(encoding="utf-8"))
    script = (_HERE / "site.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        open_templates(_HERE)
        .get_template(template)
        .render(
            css=css,
            script=Markup(script),
            script_hash=f"sha256-{digest}",
            version=__version__,
            **values,
        )
    )
