"""The reference rule with as many synthetic as validation images."""

from __future__ import annotations

from memtk.interfaces import Levels, Measure, ProtocolTable, Similarities
from memtk.memorization import dar_matched

NULL = 0.05
"""The share of a generator that has memorized nothing, whatever the sizes."""


class DarMatched:
    """The expectation of the reference count over subsets of V synthetic images.

    See `memtk.memorization.dar_matched`.
    """

    def __call__(self, similarities: Similarities, levels: Levels) -> ProtocolTable:
        """Return the expected count; without a value where no such subset exists."""
        above = similarities.train_synthetic_above
        value, count, note = None, None, "The images above the threshold were not counted."
        if above is not None:
            found = dar_matched(
                above, len(similarities.synthetic_train), len(similarities.validation_train)
            )
            value, count, note = found.mem_fraction, found.n_mem, found.reason
        measure = Measure(
            value,
            "memorized at equal sizes",
            "training",
            count=count,
            of=len(similarities.train_synthetic),
            null=NULL,
            note=note,
        )
        return ProtocolTable({"n_mem": measure})
