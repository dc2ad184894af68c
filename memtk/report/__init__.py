"""The report of a run: one HTML file, and a summary for the terminal."""

from memtk.report.build import build_audit_report, build_report

__all__ = ["build_audit_report", "build_report"]
