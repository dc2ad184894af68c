"""What a mitigation that chooses among checkpoints is told of each."""

from __future__ import annotations

from memtk.interfaces import Standing
from memtk.results import Checkpoint
from memtk.results.measures import cost_of


def standing_of(checkpoint: Checkpoint) -> Standing:
    """Return what was found at a checkpoint, by the names that `Standing` knows."""
    dar, matched = checkpoint.protocols.dar, checkpoint.protocols.dar_matched
    test = checkpoint.protocols.conformal
    rate = test.copy_rate
    memorization = {
        "copy-rate": rate.estimate if rate else None,
        "copies": test.copies_flagged_fraction,
        "dar": dar.mem_fraction,
        "dar-matched": matched.mem_fraction,
        "exposed": test.exposed_flagged_fraction,
    }
    costs = {name: cost_of(checkpoint, name) for name in checkpoint.quality}
    return Standing(
        step=checkpoint.step,
        memorization={name: value for name, value in memorization.items() if value is not None},
        quality=dict(checkpoint.quality),
        cost={name: value for name, value in costs.items() if value is not None},
    )
