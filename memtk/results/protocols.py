"""The numbers of every protocol, for one checkpoint."""

from __future__ import annotations

from pydantic import Field

from memtk.results.record import Fraction, StoredRecord


class Dar(StoredRecord):
    """The reference rule of Dar et al. (arXiv 2402.01054).

    Args:
        tau: threshold on the similarity.
        n_mem: training images called memorized, of N.
        n_copies: synthetic images called copies, of M.
        mem_fraction: n_mem / N.
        copy_fraction: n_copies / M.
        expected_mem_fraction: `mem_fraction` of a generator that has memorized nothing, its null.
        validation_called_copies: validation images that the same rule calls copies, of V.
    """

    tau: float
    n_mem: int = Field(ge=0)
    n_copies: int = Field(ge=0)
    mem_fraction: Fraction
    copy_fraction: Fraction
    expected_mem_fraction: Fraction
    validation_called_copies: int = Field(ge=0)


class DarMatched(StoredRecord):
    """The same at equal sizes: the expectation over subsets of V synthetic images; null 5 %.

    Args:
        n_mem: expected number of memorized training images; None where it cannot be had.
        mem_fraction: n_mem / N.
        reason: why it cannot be had; empty if it can.
    """

    n_mem: float | None = Field(None, ge=0)
    mem_fraction: Fraction | None = None
    reason: str = ""


class Conformal(StoredRecord):
    """The verdict's own test: is an image nearer than a stranger's would be?

    Args:
        alpha: level of a single test.
        fdr: false discovery rate of what is flagged (Benjamini-Hochberg).
        copies_flagged_fraction: share of the synthetic images with p <= alpha.
        copies_expected_fraction: that share if nothing was memorized.
        n_copies: synthetic images flagged, of M.
        exposed_flagged_fraction: share of the training images with p <= alpha; None where the
            exposure was not tested.
        exposed_expected_fraction: that share if nothing was memorized.
        n_mem: training images flagged, of N.
        patients_exposed: patients with a flagged training image.
        finest_p: smallest p-value that the validation patients allow, 1 / (patients + 1).
        can_reject: whether anything could have been flagged at these sizes.
        notes: sentences that bound what the numbers show.
    """

    alpha: float = Field(gt=0, lt=1)
    fdr: float = Field(gt=0, lt=1)
    copies_flagged_fraction: Fraction
    copies_expected_fraction: Fraction
    n_copies: int = Field(ge=0)
    exposed_flagged_fraction: Fraction | None = None
    exposed_expected_fraction: Fraction | None = None
    n_mem: int | None = Field(None, ge=0)
    patients_exposed: int | None = Field(None, ge=0)
    finest_p: float = Field(gt=0, le=1)
    can_reject: bool
    notes: list[str] = []


class Protocols(StoredRecord):
    """All protocols. Numbers of different protocols are never compared with each other."""

    dar: Dar
    dar_matched: DarMatched
    conformal: Conformal
