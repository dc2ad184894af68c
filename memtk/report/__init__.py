"""The report of a run: one HTML file, and a summary for the terminal."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memtk.report.audit import build_audit_report
    from memtk.report.bench import build_report
    from memtk.report.study import build_study_report

__all__ = ["build_audit_report", "build_report", "build_study_report"]

_PAGES = {"build_audit_report": "audit", "build_report": "bench", "build_study_report": "study"}


def __getattr__(name: str) -> Any:
    """Import what makes pages on first use: tables and texts need neither torch nor matplotlib."""
    if name in _PAGES:
        return getattr(import_module(f"memtk.report.{_PAGES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
