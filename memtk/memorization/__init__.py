"""What was memorized: pure functions of arrays."""

from memtk.intervals import Interval, Share, clopper_pearson, share
from memtk.memorization.auc import Scores, auc, scores_of
from memtk.memorization.conformal import Side, benjamini_hochberg, conformal, p_values
from memtk.memorization.dar import Dar, cutoff, dar
from memtk.memorization.duplicates import duplicates
from memtk.memorization.exact import pairwise
from memtk.memorization.exposed import Patients, exposed_patients
from memtk.memorization.judgement import Embeddings, Judgement, judge
from memtk.memorization.matched import Matched, dar_matched
from memtk.memorization.membership import FewAlarms, Membership, membership, roc
from memtk.memorization.null import expected_fraction
from memtk.memorization.planted import Exposure, PlantedScore, Spared, score_planted, spared
from memtk.memorization.power import minimum_detectable
from memtk.memorization.prepared import Source
from memtk.memorization.rates import CopyRate, copy_rate
from memtk.memorization.search import Neighbours, Search, search
from memtk.memorization.suspects import IDENTICAL, suspects

__all__ = [
    "CopyRate",
    "Dar",
    "Embeddings",
    "Exposure",
    "FewAlarms",
    "IDENTICAL",
    "Interval",
    "Judgement",
    "Matched",
    "Membership",
    "Neighbours",
    "Patients",
    "PlantedScore",
    "Scores",
    "Search",
    "Share",
    "Side",
    "Source",
    "Spared",
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
    "judge",
    "membership",
    "minimum_detectable",
    "p_values",
    "pairwise",
    "roc",
    "score_planted",
    "scores_of",
    "search",
    "share",
    "spared",
    "suspects",
]
