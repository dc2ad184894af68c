"""Studies: many benches that differ in stated settings, and one report of them all."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memtk.study.axes import Axis, parse_axis
    from memtk.study.board import Board
    from memtk.study.dry_run import describe_study
    from memtk.study.given import study_of_runs
    from memtk.study.grid import Base
    from memtk.study.plan import StudyPlan, make_study
    from memtk.study.run import FinishedStudy, check_way, run_study, study_runs
    from memtk.study.tasks import Task

__all__ = [
    "Axis",
    "Base",
    "Board",
    "FinishedStudy",
    "StudyPlan",
    "Task",
    "describe_study",
    "make_study",
    "parse_axis",
    "check_way",
    "run_study",
    "study_of_runs",
    "study_runs",
]

_FOUND_IN = {
    "axes": ("Axis", "parse_axis"),
    "board": ("Board",),
    "dry_run": ("describe_study",),
    "given": ("study_of_runs",),
    "grid": ("Base",),
    "plan": ("StudyPlan", "make_study"),
    "run": ("FinishedStudy", "check_way", "run_study", "study_runs"),
    "tasks": ("Task",),
}


def __getattr__(name: str) -> Any:
    """Import on first use: a process of a study watches its parent before it imports torch."""
    for module, names in _FOUND_IN.items():
        if name in names:
            return getattr(import_module(f"memtk.study.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
