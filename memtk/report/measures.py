"""The measures of quality of a cell as rows: at every checkpoint, beside what real images score."""

from __future__ import annotations

from dataclasses import dataclass

from memtk.results import Result

BETTER = {
    "higher": "higher is better",
    "lower": "lower is better",
    "real": "nearer to real images is better",
}
SIGNS = {"higher": "↑", "lower": "↓", "real": "≈"}


@dataclass(frozen=True)
class Row:
    """One measure.

    Args:
        name: with the extractor's in brackets, where it compares features.
        values: one a checkpoint, then that of the chosen one judged anew; None where undefined.
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


def rows_of(result: Result) -> list[Row]:
    """Return the measures of any checkpoint of a cell, in their order."""
    names = dict.fromkeys(
        name for c in result.judged for known in (c.measured, c.quality) for name in known
    )
    rows = []
    for name in names:
        with_it = [c.measured[name] for c in result.judged if name in c.measured]
        last = with_it[-1] if with_it else None
        rows.append(
            Row(
                name=name,
                values=tuple(c.quality.get(name) for c in result.judged),
                real=last.real if last else None,
                better=last.better if last else "",
                against=last.against if last else "",
                note=last.note if last else "",
            )
        )
    return rows


def features_word(result: Result) -> str:
    """Return a sentence or two on the network whose features were compared; empty without one."""
    extractor = result.components.extractor
    if extractor is None:
        return ""
    if result.extractor_saw == "training":
        return (
            f"Features are those of {extractor.name}, which was trained on the training images: to "
            "it these stand apart from all others, so the lines of fid, kid and prdc, where they "
            "stand for the synthetic images, are too severe. The numbers themselves compare "
            "synthetic with validation images, and it has seen neither."
        )
    return f"Features are those of {extractor.name}, which came trained on other people's images."


def shown(value: float | None) -> str:
    """Return a number with four digits, a dash for none.

    >>> shown(12.34567), shown(-0.00012346), shown(None), shown(54.0)
    ('12.35', '-0.0001235', '–', '54')
    """
    return "–" if value is None else f"{value:.4g}"
