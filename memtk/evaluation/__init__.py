"""One synthetic set evaluated: what bench, audit, self-test and study have in common."""

from memtk.evaluation.calibration import Calibration, Patients, calibrate
from memtk.evaluation.detector import EmbeddedSets, TrainingSearch
from memtk.evaluation.evaluate import Evaluation, apply_protocols, evaluate, neighbours
from memtk.evaluation.planted import MIXED, PlantedImages, PlantedSimilarity
from memtk.evaluation.population import population_test, with_likeness
from memtk.evaluation.selftest import self_test
from memtk.evaluation.sides import Groups
from memtk.evaluation.statistics import tests_of
from memtk.interfaces import Levels

__all__ = [
    "population_test",
    "with_likeness",
    "Groups",
    "Calibration",
    "EmbeddedSets",
    "Evaluation",
    "Levels",
    "MIXED",
    "Patients",
    "PlantedImages",
    "PlantedSimilarity",
    "TrainingSearch",
    "apply_protocols",
    "calibrate",
    "evaluate",
    "neighbours",
    "self_test",
    "tests_of",
]
