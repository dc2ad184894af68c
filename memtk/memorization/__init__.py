"""What was memorized: pure functions of arrays."""

from memtk.memorization.conformal import Side, benjamini_hochberg, conformal, p_values
from memtk.memorization.dar import Dar, cutoff, dar
from memtk.memorization.judgement import Embeddings, Judgement, judge
from memtk.memorization.matched import Matched, dar_matched
from memtk.memorization.null import expected_fraction
from memtk.memorization.search import Neighbours, Search, search

__all__ = [
    "Dar",
    "Embeddings",
    "Judgement",
    "Matched",
    "Neighbours",
    "Search",
    "Side",
    "benjamini_hochberg",
    "conformal",
    "cutoff",
    "dar",
    "dar_matched",
    "expected_fraction",
    "judge",
    "p_values",
    "search",
]
