"""The report of a run: one HTML file, and a summary for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memtk.report.build import build_audit_report, build_report

__all__ = ["build_audit_report", "build_report"]


def __getattr__(name: str) -> Any:
    """Import what makes pages on first use: tables and texts need neither torch nor matplotlib."""
    if name in __all__:
        from memtk.report import build

        return getattr(build, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
