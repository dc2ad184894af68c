"""What was memorized: pure functions of arrays."""

from memtk.intervals import Interval, Share, clopper_pearson, share
from memtk.memorization.agreement import (
    BestThreshold,
    Proportion,
    ReadPairs,
    best_agreement,
    cohen_kappa,
    disagreements,
    fleiss_kappa,
    majority,
)
from memtk.memorization.at_least import AtLeast, at_least
from memtk.memorization.best_case import BestCase, Limits, Sizes, best_case
from memtk.memorization.conformal import (
    ConformalTest,
    benjamini_hochberg,
    conformal,
    holm,
    left_out,
    p_values,
)
from memtk.memorization.copy_rate import CopyRate, ThresholdRule, best_threshold, copy_rate
from memtk.memorization.dar import Dar, Matched, cutoff, dar, dar_matched, expected_fraction
from memtk.memorization.duplicates import duplicates
from memtk.memorization.epsilon import (
    FEWEST_CANARIES,
    epsilon_lower_bound,
    guesses_for,
    right_guesses,
)
from memtk.memorization.exchangeability import (
    Bulk,
    Exchangeability,
    bulk_test,
    energy_test,
    likelihood_ratios,
    weighted_p_values,
)
from memtk.memorization.exposure import (
    ExposedInterval,
    PatientTest,
    Undetectable,
    exposed_interval,
    exposed_patients,
    undetectable,
)
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
from memtk.memorization.patients import PatientGroup
from memtk.memorization.power import minimum_detectable, tipping_point
from memtk.memorization.rows import Source, pairwise
from memtk.memorization.search import Execution, Neighbours, Search, search
from memtk.memorization.selftest import (
    PlantedExposure,
    PlantedScore,
    Specificity,
    score_planted,
    specificity,
)
from memtk.memorization.tail import TailTest, margin_p_values, tail_test
from memtk.memorization.withhold import IDENTICAL, withhold

__all__ = [
    "AtLeast",
    "BestCase",
    "BestThreshold",
    "Bulk",
    "ConformalTest",
    "CopyRate",
    "Dar",
    "Exchangeability",
    "Execution",
    "ExposedInterval",
    "FEWEST_CANARIES",
    "IDENTICAL",
    "Interval",
    "Limits",
    "Matched",
    "Membership",
    "Neighbours",
    "PatientGroup",
    "PatientTest",
    "PlantedExposure",
    "PlantedScore",
    "Proportion",
    "ReadPairs",
    "Scores",
    "Search",
    "Share",
    "Sizes",
    "Source",
    "Specificity",
    "TailTest",
    "ThresholdRule",
    "TprAtFpr",
    "Undetectable",
    "at_least",
    "auc",
    "benjamini_hochberg",
    "best_agreement",
    "best_case",
    "best_threshold",
    "bulk_test",
    "clopper_pearson",
    "cohen_kappa",
    "conformal",
    "copy_rate",
    "cutoff",
    "dar",
    "dar_matched",
    "disagreements",
    "duplicates",
    "energy_test",
    "epsilon_lower_bound",
    "expected_fraction",
    "exposed_interval",
    "exposed_patients",
    "fleiss_kappa",
    "guesses_for",
    "holm",
    "left_out",
    "likelihood_ratios",
    "majority",
    "margin_p_values",
    "membership",
    "minimum_detectable",
    "p_values",
    "pairwise",
    "right_guesses",
    "roc",
    "score_planted",
    "scores_of",
    "search",
    "share",
    "specificity",
    "tail_test",
    "tipping_point",
    "tpr_at_fpr",
    "undetectable",
    "weighted_p_values",
    "withhold",
]
