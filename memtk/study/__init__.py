"""Studies: many benches that differ in stated settings, and one report of them all."""

from memtk.study.axes import parse_axes, parse_axis
from memtk.study.launchers import parse_parameters
from memtk.study.plan import Base, describe_study, make_study
from memtk.study.run import Jobs, check_jobs, run_study, study_of_runs, study_runs
from memtk.study.tasks import StudyDisplay, Task

__all__ = [
    "Base",
    "Jobs",
    "StudyDisplay",
    "Task",
    "check_jobs",
    "describe_study",
    "make_study",
    "parse_axes",
    "parse_axis",
    "parse_parameters",
    "run_study",
    "study_of_runs",
    "study_runs",
]
