"""What was memorized: pure functions of arrays."""

from memtk.memorization.conformal import Side, benjamini_hochberg, conformal, p_values
from memtk.memorization.dar import Dar, cutoff, dar
from memtk.memorization.duplicates import duplicates
from memtk.memorization.exposed import Patients, exposed_patients
from memtk.memorization.intervals import Interval, Share, clopper_pearson, share
from memtk.memorization.judgement import Embeddings, Judgement, judge
from memtk.memorization.matched import Matched, dar_matched
from memtk.memorization.null import expected_fraction
from memtk.memorization.planted import Exposure, PlantedScore, Spared, score_planted, spared
from memtk.memorization.power import minimum_detectable
from memtk.memorization.prepared import Source
from memtk.memorization.rates import CopyRate, copy_rate
from memtk.memorization.search import Neighbours, Search, search

__all__ = [
    "CopyRate",
    "Dar",
    "Embeddings",
    "Exposure",
    "Interval",
    "Judgement",
    "Matched",
    "Neighbours",
    "Patients",
    "PlantedScore",
    "Search",
    "Share",
    "Side",
    "Source",
    "Spared",
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
    "minimum_detectable",
    "p_values",
    "score_planted",
    "search",
    "share",
    "spared",
]
