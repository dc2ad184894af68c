"""Pairs of images read by people: drawn, shown blinded, and counted against every rule."""

from memtk.reviewing.draw import Draw, open_draw
from memtk.reviewing.labels import Labels, Reading, add_file, all_labels, read_labels, save
from memtk.reviewing.plan import ReadingPlan, plan_reading
from memtk.reviewing.reviewed import ReviewedSet, open_set
from memtk.reviewing.server import ReadingPage
from memtk.reviewing.statistics import disputed, readers_arrays, review_of, write_review

__all__ = [
    "Draw",
    "Labels",
    "Reading",
    "ReadingPage",
    "ReadingPlan",
    "ReviewedSet",
    "add_file",
    "all_labels",
    "disputed",
    "open_draw",
    "open_set",
    "plan_reading",
    "read_labels",
    "readers_arrays",
    "review_of",
    "save",
    "write_review",
]
