"""Sections of the HTML report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class ReportSection(Protocol):
    """Adds a section to the end of every cell of the report.

    Attributes:
        title: its heading.
        audits: True, where present, if it also reads the result of an audit (`audit.json`); without
            it a section is shown in the report of a bench alone.
    """

    title: str

    def __call__(self, result: Mapping[str, Any]) -> str | None:
        """Return HTML made from a cell's result (its JSON as a dict), or None to be left out.

        It must work offline and name no file and no patient.
        """
        ...
