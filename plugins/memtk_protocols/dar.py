"""The reference rule of Dar et al. (arXiv 2402.01054), at the sizes there are and at equal ones."""

from __future__ import annotations

from memtk.interfaces import Levels, Measure, ProtocolTable, Similarities
from memtk.memorization import dar, dar_matched


class Dar:
    """Counts what is nearer than the 5th percentile of the distances of training to validation.

    See `memtk.memorization.dar`. *Pitfall:* a generator that has memorized nothing scores
    `1 - 0.95^(M/V)`, which grows with the number of synthetic images; `dar-matched` does not.
    """

    def __call__(self, similarities: Similarities, levels: Levels) -> ProtocolTable:
        """Return the counts, and beside the copies what the rule says of strangers."""
        found = dar(
            similarities.train_validation,
            similarities.train_synthetic,
            similarities.synthetic_train,
            similarities.validation_train,
        )
        validation = len(similarities.validation_train)
        called = found.validation_called_copies
        measures = {
            "n_mem": Measure(
                found.mem_fraction,
                "memorized, n_mem / N",
                "training",
                count=found.n_mem,
                of=len(found.memorized),
                null=found.expected_mem_fraction,
            ),
            "n_copies": Measure(
                found.copy_fraction,
                "copies, n_copies / M",
                "synthetic",
                count=found.n_copies,
                of=len(found.copies),
                null=called / validation,
            ),
            "validation_called_copies": Measure(
                called / validation,
                "validation images called copies",
                "validation",
                count=called,
                of=validation,
            ),
            "tau": Measure(found.tau, "threshold tau", "", better=""),
        }
        return ProtocolTable(measures, {"training": found.memorized, "synthetic": found.copies})


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
