"""One synthetic set evaluated: what bench, audit, self-test and study have in common."""

from memtk.evaluation.calibration import CONFIDENCE, Calibration, Patients, calibrate
from memtk.evaluation.detector import CopyDetector, Detector, EmbeddedSets, TrainingSearch
from memtk.evaluation.evaluate import (
    Evaluation,
    apply_protocols,
    evaluate,
    neighbours,
    record_of,
    used_protocols,
)
from memtk.evaluation.planted import MIXED, PlantedImages, PlantedSimilarity, Plants
from memtk.evaluation.population import population_test, with_likeness
from memtk.evaluation.selftest import self_test
from memtk.evaluation.sides import Groups
from memtk.evaluation.statistics import Tests, evidence_of, tests_of
from memtk.interfaces import Levels

__all__ = [
    "population_test",
    "with_likeness",
    "evidence_of",
    "Tests",
    "Groups",
    "CONFIDENCE",
    "Calibration",
    "CopyDetector",
    "Detector",
    "EmbeddedSets",
    "Evaluation",
    "Levels",
    "MIXED",
    "Patients",
    "PlantedImages",
    "PlantedSimilarity",
    "Plants",
    "TrainingSearch",
    "apply_protocols",
    "calibrate",
    "evaluate",
    "neighbours",
    "record_of",
    "self_test",
    "tests_of",
    "used_protocols",
]
