"""What the paper reports (Dar et al., arXiv 2402.01054 v2), as data."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Literal

from pydantic import Field, computed_field

from memtk.errors import UserError, did_you_mean, many
from memtk.results.schema import Result
from memtk.results.store import StoredRecord

DATA_SETS = {
    "pccta": "coronary CT angiography, 64 x 64 x 64 around plaques (not public)",
    "mrnet": "MRNet, sagittal knee MRI, 256 x 256 x 32",
    "chest-xray": "NIH ChestX-ray14, 512 x 512",
}
"""The paper's data sets, by the name of the suite that has the same images."""


class Agreement(StoredRecord):
    """How the rule and a radiologist agree on about 100 training images and what is nearest.

    Args:
        sensitivity: share of the human's copies that the rule finds, in percent.
        specificity: share of the human's novel pairs that the rule calls novel.
        ppv: share of the rule's copies that the human confirms.
        npv: share of the rule's novel pairs that the human confirms.
        replayed: derived by drawing the pairs again with the published seed; not exact to a point.
    """

    sensitivity: float
    specificity: float
    ppv: float
    npv: float
    replayed: bool = False


class PaperRow(StoredRecord):
    """One generator on one data set, as the paper reports it.

    Args:
        study: "main", "augmentation" or "datasize".
        data_set: a key of `DATA_SETS`.
        system: the paper's name of the generator, and `generator` memtk's.
        augmented: whether its training images were augmented.
        training: N = M, training images and as many synthetic ones.
        validation: V; `validation_assumed` where the paper does not say it.
        mem_percent: `n_mem / N`, and `copies_percent` `n_copies / M`, as printed.
        mem_count: the counts that belong to them; None where no whole number does.
        printed: which counts the authors' notebooks print; the others follow from the percentages.
        tau: the threshold, where it is printed.
        published_sensitivity: as printed: with the *rule* as the truth and the human as the
            prediction. So it is a positive predictive value, and `published_specificity` a negative
            one; `agreement` has them the right way round.
        confusion: of the human's check, rows by rule, columns by human, novel first.
        replayed: whether `confusion` was derived again and not printed.
        note: what a reader must know.
    """

    study: Literal["main", "augmentation", "datasize"]
    data_set: str
    system: str
    generator: str
    augmented: bool
    training: int
    validation: int
    validation_assumed: bool = False
    mem_percent: float
    mem_count: int | None = None
    copies_percent: float
    copies_count: int | None = None
    printed: tuple[Literal["mem", "copies"], ...] = ()
    tau: float | None = None
    published_sensitivity: float | None = None
    published_specificity: float | None = None
    confusion: tuple[tuple[int, int], tuple[int, int]] | None = Field(None, repr=False)
    replayed: bool = False
    note: str = ""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def null_percent(self) -> float:
        """What a generator that has memorized nothing would score: `100 (1 - 0.95^(M/V))`."""
        return round(100 * (1 - 0.95 ** (self.training / self.validation)), 1)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def agreement(self) -> Agreement | None:
        """The human's check with the human as the truth; None where no counts are known."""
        if self.confusion is None:
            return None
        (both_novel, missed), (false, both_copy) = self.confusion
        return Agreement(
            sensitivity=_percent(both_copy, missed),
            specificity=_percent(both_novel, false),
            ppv=_percent(both_copy, false),
            npv=_percent(both_novel, missed),
            replayed=self.replayed,
        )


class PaperNumbers(StoredRecord):
    """All of them, with the version of the paper that they are from."""

    version: str
    row: tuple[PaperRow, ...]


@cache
def paper_numbers() -> PaperNumbers:
    """Return what the paper reports."""
    text = files("memtk.results").joinpath("reference.toml").read_text(encoding="utf-8")
    return PaperNumbers.model_validate(tomllib.loads(text))


def select(data_set: str | None = None, system: str | None = None) -> tuple[PaperRow, ...]:
    """Return the rows of a data set and of a system, by the paper's name or memtk's.

    Raises:
        UserError: for a name that the paper does not have.
    """
    rows = paper_numbers().row
    if data_set is not None:
        _check("data set", data_set.lower(), list(DATA_SETS))
        rows = tuple(row for row in rows if row.data_set == data_set.lower())
    if system is not None:
        names = {
            name.lower() for row in paper_numbers().row for name in (row.system, row.generator)
        }
        _check("system", system.lower(), sorted(names))
        asked = system.lower()
        rows = tuple(row for row in rows if asked in (row.system.lower(), row.generator))
    return rows


def reported(result: Result) -> tuple[PaperRow, ...]:
    """Return what the paper reports on a result's data set, its own generator first.

    The data set is known by the name of the suite alone: memtk's suites `mrnet` and `chest-xray`
    have the paper's images. A user's own data are never taken for the paper's, whatever their
    source is called.
    """
    if result.suite is None or result.suite.name not in DATA_SETS:
        return ()
    rows = select(result.suite.name)
    own = result.components.generator.name
    return tuple(sorted(rows, key=lambda row: row.generator != own))


def counterpart(result: Result) -> PaperRow | None:
    """Return the row of the paper's main or augmentation study that a result repeats, if any.

    That is the same generator on the same data set, augmented or not, with no other mitigation.
    """
    mitigations = {used.name for used in result.components.mitigations}
    if mitigations - {"augment"}:
        return None
    for row in reported(result):
        same = row.generator == result.components.generator.name
        if same and row.study != "datasize" and row.augmented == bool(mitigations):
            return row
    return None


def sentence(row: PaperRow) -> str:
    """Return a row in words, with its null and its sizes.

    >>> print(sentence(select("mrnet", "MONAI")[0]))  # doctest: +NORMALIZE_WHITESPACE
    The paper (arXiv 2402.01054 v2) reports 47.6% memorized (430 of 904) and 87.2% copies for
    MONAI on mrnet, with 904 training and 226 validation images, where a generator that has
    memorized nothing would score about 18.5%.
    """
    count = f" ({row.mem_count} of {row.training})" if row.mem_count is not None else ""
    augmented = " with augmentation" if row.augmented else ""
    return (
        f"The paper ({paper_numbers().version}) reports {row.mem_percent:g}% memorized{count} and "
        f"{row.copies_percent:g}% copies for {row.system}{augmented} on {row.data_set}, with "
        f"{row.training} training and {many(row.validation, 'validation image')}, where a "
        f"generator that has memorized nothing would score about {row.null_percent:g}%."
    )


def _percent(part: int, rest: int) -> float:
    return round(100 * part / (part + rest), 1)


def _check(what: str, name: str, names: Sequence[str]) -> None:
    if name not in names:
        raise UserError(
            f"the paper has no {what} {name!r}: it has {', '.join(names)}."
            f"{did_you_mean(name, names)}"
        )
