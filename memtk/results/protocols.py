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


class RateInterval(StoredRecord):
    """A rate with its confidence interval, all in [0, 1].

    Args:
        estimate: the rate.
        low: lower end of the interval, and `high` the upper one.
    """

    estimate: Fraction
    low: Fraction
    high: Fraction


class Conformal(StoredRecord):
    """The verdict's own test: is an image nearer than a stranger's would be?

    What has the default None was not computed: by an older memtk, or because the numbers it needs
    are not there.

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
        patients_exposed: training patients flagged by a test of their own, at the false discovery
            rate; in files of memtk 0.1, patients with a flagged image.
        patients_with_flagged_images: training patients with at least one flagged image.
        patients_fewest: the fewest training patients that can be flagged at these sizes: fewer,
            however exposed, go unflagged.
        patients_can_reject: whether any training patient could have been flagged.
        finest_p: smallest p-value that the validation patients allow, 1 / (patients + 1).
        can_reject: whether any synthetic image could have been flagged at these sizes.
        confidence: of the interval and the bound below.
        copy_rate: share of the synthetic images that are copies, in excess of the null and
            corrected by the sensitivity that the self-test measured.
        copy_rate_upper_bound: the largest copy rate that the numbers allow, one-sided.
        minimum_detectable_copy_rate: the smallest copy rate at which at least one synthetic image
            would be flagged with a power of 80 %; None also where no rate would do.
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
    patients_with_flagged_images: int | None = Field(None, ge=0)
    patients_fewest: int | None = Field(None, ge=1)
    patients_can_reject: bool | None = None
    finest_p: float = Field(gt=0, le=1)
    can_reject: bool
    confidence: float | None = Field(None, gt=0, lt=1)
    copy_rate: RateInterval | None = None
    copy_rate_upper_bound: Fraction | None = None
    minimum_detectable_copy_rate: Fraction | None = None
    notes: list[str] = []


class Protocols(StoredRecord):
    """All protocols. Numbers of different protocols are never compared with each other."""

    dar: Dar
    dar_matched: DarMatched
    conformal: Conformal
