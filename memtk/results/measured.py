"""A measure of quality or diversity: what belongs to its number."""

from __future__ import annotations

from typing import Literal

from memtk.results.record import StoredRecord


class Measured(StoredRecord):
    """What belongs to one number of `Checkpoint.quality`, under the same name.

    Args:
        real: what real images score in the place of the synthetic ones; None where there is no such
            line, or it is undefined.
        better: which values are good: "higher", "lower", or those near to `real`.
        against: what the synthetic images were compared with.
        extractor: the network whose features were compared; empty where the images were.
        note: what a reader must know of this number. Of a measure without a number: why.
    """

    real: float | None = None
    better: Literal["higher", "lower", "real"] = "real"
    against: str = ""
    extractor: str = ""
    note: str = ""
