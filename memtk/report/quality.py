"""Measures of quality as rows of a table, and the cells of a run side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from memtk.results import Audit, Checkpoint, Result, Used
from memtk.results.formats import duration, interval, number, share
from memtk.results.measures import Side, Tradeoff, better_of, tradeoff

BETTER = {
    "higher": "higher is better",
    "lower": "lower is better",
    "real": "nearer to real images is better",
}
SIGNS = {"higher": "↑", "lower": "↓", "real": "≈"}


@dataclass(frozen=True)
class QualityRow:
    """A measure of quality of one cell or audit.

    Args:
        name: with the extractor's in brackets, where it compares features.
        values: one a checkpoint, then that of the chosen one judged anew; of an audit one; None
            where undefined.
        real: what real images score in the place of the synthetic ones, at the last checkpoint.
        better: "higher", "lower" or "real"; empty where nothing says so.
        against: what the synthetic images were compared with.
        note: what a reader must know of it, at the last checkpoint.
    """

    name: str
    values: tuple[float | None, ...]
    real: float | None
    better: str
    against: str
    note: str

    @property
    def good(self) -> str:
        """Which values are good, in words."""
        return BETTER.get(self.better, "")

    @property
    def sign(self) -> str:
        """The same as a sign."""
        return SIGNS.get(self.better, "")


def quality_rows(evaluated: Sequence[Checkpoint | Audit]) -> list[QualityRow]:
    """Return the measures of any checkpoint of a cell, or of an audit, in their order."""
    names = dict.fromkeys(
        name for c in evaluated for known in (c.measure_info, c.quality) for name in known
    )
    rows = []
    for name in names:
        with_it = [c.measure_info[name] for c in evaluated if name in c.measure_info]
        last = with_it[-1] if with_it else None
        rows.append(
            QualityRow(
                name=name,
                values=tuple(c.quality.get(name) for c in evaluated),
                real=last.real if last else None,
                better=better_of(last) or "",
                against=last.against if last else "",
                note=last.note if last else "",
            )
        )
    return rows


def features_word(extractor: Used | None, trained_on: str | None) -> str:
    """Return a sentence or two on the network whose features were compared; empty without one."""
    if extractor is None:
        return ""
    if trained_on == "training":
        return (
            f"Features are those of {extractor.name}, which was trained on the training images: to "
            "it these stand apart from all others, so the lines of fid, kid and prdc, where they "
            "stand for the synthetic images, are too severe. The numbers themselves compare "
            "synthetic with validation images, and it has seen neither."
        )
    return f"Features are those of {extractor.name}, which came trained on other people's images."


@dataclass(frozen=True)
class ComparedCell:
    """One cell beside the others, in words.

    Args:
        rate: its copy rate, and `bounds` the interval; empty where not computed.
        exposed: training patients, from the lower to the upper end.
        judged: synthetic images that the verdict is about; `anew`: they were chosen by a score, and
            judged again.
        qualities: in the order of the measures.
    """

    cell: str
    rate: str
    bounds: str
    exposed: str
    judged: int
    anew: bool
    qualities: tuple[str, ...]
    time: str


@dataclass(frozen=True)
class Comparison:
    """The cells of a run side by side.

    Args:
        found: the numbers.
        rows: the same in words, one a cell.
        measures: (name, which way is better, what real images score).
    """

    found: Tradeoff
    rows: tuple[ComparedCell, ...]
    measures: tuple[tuple[str, str, str], ...]


def compare_cells(results: Sequence[Result]) -> Comparison:
    """Put the cells of a run side by side: memorization, quality and the time that it took."""
    found = tradeoff(results)
    return Comparison(
        found,
        rows=tuple(_compared(side, found) for side in found.sides),
        measures=tuple(
            (name, way_of(found.better[name]), number(found.real[name])) for name in found.measures
        ),
    )


def way_of(better: str | None) -> str:
    """Return which values of a measure are good, in words."""
    return BETTER.get(better or "", "which way is better is not known")


def _compared(side: Side, found: Tradeoff) -> ComparedCell:
    result, rate, exposed = side.result, side.copy_rate, side.exposed
    test, seconds, bounds = result.last.evidence, result.training_seconds, ""
    if rate is not None and test.confidence:
        bounds = interval(rate.low, rate.high, test.confidence) + test.readers_note("; {}")
    return ComparedCell(
        cell=side.cell,
        rate=share(rate.estimate) if rate else "",
        bounds=bounds,
        exposed="-" if exposed is None else f"{exposed.ends} of {exposed.of}",
        judged=result.last.n_synthetic,
        anew=result.last.reevaluated,
        qualities=tuple(number(side.quality[name]) for name in found.measures),
        time="-" if seconds is None else duration(seconds),
    )
