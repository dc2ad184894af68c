"""Memorization against quality: which numbers of the cells of a run stand beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from memtk.results.protocols import RateInterval
from memtk.results.schema import Checkpoint, Result


@dataclass(frozen=True)
class Side:
    """One cell in the comparison.

    Args:
        cell: its name.
        result: its numbers; those of the checkpoint that the verdict is about count.
        quality: by measure; None where it has no number.
    """

    cell: str
    result: Result
    quality: dict[str, float | None]

    @property
    def copy_rate(self) -> RateInterval | None:
        """The copy rate in excess of chance, with its interval; None where it was not computed."""
        return self.result.last.protocols.conformal.copy_rate

    @property
    def exposed(self) -> float | None:
        """Share of the training images that are flagged as exposed; None where not tested."""
        count = self.result.last.protocols.conformal.n_mem
        return None if count is None else count / self.result.used_training.images


@dataclass(frozen=True)
class Tradeoff:
    """Cells side by side.

    Args:
        sides: one a cell, in their order.
        measures: names of the measures of quality that any cell has; of the first the picture is.
        better: by measure, "higher", "lower" or "real"; None where nothing says so.
        real: by measure, what real images score; None where there is no such line.
    """

    sides: tuple[Side, ...]
    measures: tuple[str, ...]
    better: dict[str, str | None]
    real: dict[str, float | None]


def tradeoff(results: Sequence[Result]) -> Tradeoff:
    """Put the cells of a run side by side."""
    lasts = [result.last for result in results]
    names = tuple(dict.fromkeys(name for last in lasts for name in last.quality))
    known = {
        name: next((last.measured[name] for last in lasts if name in last.measured), None)
        for name in names
    }
    return Tradeoff(
        sides=tuple(
            Side(r.cell, r, {name: r.last.quality.get(name) for name in names}) for r in results
        ),
        measures=names,
        better={name: m.better if m else None for name, m in known.items()},
        real={name: m.real if m else None for name, m in known.items()},
    )


def cost_of(checkpoint: Checkpoint, name: str) -> float | None:
    """Return a measure of quality so turned that smaller is better.

    A measure of which values near to those of real images are good costs its distance from these.

    Returns:
        None where it has no number, or is not known which way is better.
    """
    value, known = checkpoint.quality.get(name), checkpoint.measured.get(name)
    if value is None or known is None:
        return None
    if known.better == "real":
        return None if known.real is None else abs(value - known.real)
    return value if known.better == "lower" else -value
