"""What was memorized: pure functions of arrays."""

from memtk.intervals import Interval, Share, clopper_pearson, share
from memtk.memorization.conformal import (
    ConformalTest,
    benjamini_hochberg,
    conformal,
    left_out,
    p_values,
)
from memtk.memorization.copy_rate import CopyRate, copy_rate
from memtk.memorization.dar import Dar, Matched, cutoff, dar, dar_matched, expected_fraction
from memtk.memorization.duplicates import duplicates
from memtk.memorization.exposure import PatientTest, exposed_patients
from memtk.memorization.membership import (
    Membership,
    Scores,
    TprAtFpr,
    auc,
    membership,
    roc,
    scores_of,
    tpr_at_fpr,
)
from memtk.memorization.power import minimum_detectable
from memtk.memorization.rows import Source, pairwise
from memtk.memorization.search import Execution, Neighbours, Search, search
from memtk.memorization.selftest import (
    PlantedExposure,
    PlantedScore,
    Specificity,
    score_planted,
    specificity,
)
from memtk.memorization.withhold import IDENTICAL, withhold

__all__ = [
    "ConformalTest",
    "CopyRate",
    "Dar",
    "Execution",
    "IDENTICAL",
    "Interval",
    "Matched",
    "Membership",
    "Neighbours",
    "PatientTest",
    "PlantedExposure",
    "PlantedScore",
    "Scores",
    "Search",
    "Share",
    "Source",
    "Specificity",
    "TprAtFpr",
    "auc",
    "benjamini_hochberg",
    "clopper_pearson",
    "conformal",
    "copy_rate",
    "cutoff",
    "dar",
    "dar_matched",
    "duplicates",
    "expected_fraction",
    "exposed_patients",
    "left_out",
    "membership",
    "minimum_detectable",
    "p_values",
    "pairwise",
    "roc",
    "score_planted",
    "scores_of",
    "search",
    "share",
    "specificity",
    "tpr_at_fpr",
    "withhold",
]
