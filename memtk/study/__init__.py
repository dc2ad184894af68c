"""Studies: many benches that differ in stated settings, and one report of them all."""

from memtk.study.axes import Axis, at_equal_epochs, parse_axes, parse_axis
from memtk.study.launchers import parse_parameters
from memtk.study.plan import Base, StudyPlan, describe_study, make_study
from memtk.study.run import FinishedStudy, Jobs, check_jobs, run_study, study_of_runs, study_runs
from memtk.study.tasks import StudyDisplay, Task, seconds_left

__all__ = [
    "Axis",
    "Base",
    "FinishedStudy",
    "Jobs",
    "StudyDisplay",
    "StudyPlan",
    "Task",
    "at_equal_epochs",
    "check_jobs",
    "describe_study",
    "make_study",
    "parse_axes",
    "parse_axis",
    "parse_parameters",
    "run_study",
    "seconds_left",
    "study_of_runs",
    "study_runs",
]
