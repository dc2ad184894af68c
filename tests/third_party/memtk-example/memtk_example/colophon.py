"""A section of the report."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any


class Colophon:
    """Ends every cell with a line."""

    title = "Colophon"

    def __call__(self, result: Mapping[str, Any]) -> str | None:
        """Return one paragraph."""
        return f"<p>memtk-example has seen the cell {html.escape(str(result['cell']))}.</p>"
