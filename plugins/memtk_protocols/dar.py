"""The reference rule of Dar et al. (arXiv 2402.01054)."""

from __future__ import annotations

from memtk.interfaces import Levels, Measure, ProtocolTable, Similarities
from memtk.memorization import dar


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
