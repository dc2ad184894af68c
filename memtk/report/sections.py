"""Sections that the pages of a bench, of an audit and of a study share."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from memtk.report.figures import draw_planted, draw_similarities
from memtk.report.page import Section, figure_section, figures_of, make_section
from memtk.report.pictures import Pairs
from memtk.report.provenance import Provenance
from memtk.results import Data, Evidence, SelfTest
from memtk.results.case import ALIKE, BLUR
from memtk.results.formats import TAILS, share

TAU = (
    "Right of τ lies what is nearer than 95% of the training images are to their nearest "
    "validation image; the reference rule (Dar et al.) calls it"
)


def similarities_section(
    arrays: Mapping[str, np.ndarray], tau: float, synthetic: int, validation: int
) -> Section:
    """Return the histograms of the nearest similarities.

    Args:
        tau: threshold of the reference rule.
        synthetic: M, and `validation` V: where they differ the histograms move apart.
    """
    moved = ""
    if synthetic != validation:
        moved = (
            f", moved a little to the {'right' if synthetic > validation else 'left'} on the "
            f"left-hand side because there are {synthetic} synthetic and {validation} validation "
            "images"
        )
    figures = figures_of(
        lambda: draw_similarities(arrays, tau),
        "Histograms of nearest similarities for real and for synthetic images, with the threshold "
        "tau",
        f"If nothing was memorized, the orange outline follows the grey shape{moved}. {TAU} "
        "memorized (left) or a copy (right).",
    )
    return figure_section("similarities", "How near the nearest image is", *figures)


def pairs_section(
    pairs: Pairs | None,
    data: Data,
    tau: float,
    arrays: Mapping[str, np.ndarray] | None = None,
    evidence: Evidence | None = None,
) -> Section:
    """Return the nearest pairs, or that the images are no longer there.

    Args:
        arrays: of the synthetic set, for how many of the most alike are copies; None without.
        evidence: of these.
    """
    real = not data.source.startswith("phantom")
    return make_section(
        "pairs",
        "The nearest pairs",
        "pairs.html",
        pairs=pairs,
        real=real,
        tau=tau,
        least=at_least(arrays, evidence) if arrays and evidence else [],
    )


def at_least(arrays: Mapping[str, np.ndarray], evidence: Evidence) -> list[str]:
    """Say how many of the most alike images are copies or exposed; nothing where none must be.

    No more than the lower ends that stand above all else, which have a part of the error alone; and
    nothing where as many are named for sure, as their tags say: another number beside it would be
    read as another answer.
    """
    said, rate, exposed = [], evidence.copy_rate, evidence.exposed
    for side, images, are, end in (
        ("copies", "synthetic images", "copies", rate.low if rate else 0.0),
        ("exposure", "training images", "exposed", exposed.low if exposed else 0),
    ):
        least = arrays.get(f"{side}_at_least")
        if least is None:
            continue
        ranked = np.sort(least)  # it grows along the list
        known = min(ranked[-1], int(end * len(ranked) + 1e-6) if side == "copies" else end)
        if known > arrays.get(f"{side}_sure", np.zeros(0)).sum():
            first = int(np.searchsorted(ranked, known)) + 1
            said.append(
                f"of the first {first} {images}, the most alike first, at least {known} are {are}"
            )
    return said


def names_section(evidence: Evidence) -> Section | None:
    """Return what the names, and the copy rate, rest on; None for what an older memtk evaluated."""
    if evidence.copies is None:
        return None
    units = (
        ("synthetic images", evidence.copies),
        ("training images", evidence.training_images),
        ("training patients", evidence.patients),
    )
    return make_section(
        "names",
        "What the names rest on",
        "names.html",
        evidence=evidence,
        units=units,
        models=TAILS,
        alike=ALIKE,
        blur=BLUR,
    )


def selftest_section(selftest: SelfTest) -> Section:
    """Return what was found of copies that were planted, and of strangers."""
    planted = figures_of(
        lambda: draw_planted(selftest),
        "Share of the planted copies that are found, by kind and strength of the change, with "
        "intervals",
        f"Bars: {share(selftest.confidence)} Clopper-Pearson intervals. On grey ground: "
        "changed more than what the mixed copies use. Of copies that are found, the training "
        "image named as their source should be the right one.",
    )
    title = "Would copies be noticed?"
    return make_section("selftest", title, "selftest.html", selftest=selftest, planted=planted)


def provenance_section(origin: Provenance, command: str = "") -> Section:
    """Return all that it takes to get the numbers again, and the command where there is one."""
    title = "Where this comes from"
    return make_section("provenance", title, "provenance.html", origin=origin, command=command)


def reading_section(fdr: float, alpha: float | None = None) -> Section:
    """Return how the numbers are to be read.

    Args:
        fdr: false discovery rate of the suspects.
        alpha: level of a single test, for the page of an audit, whose outcome follows other rules.
    """
    return make_section("reading", "How to read this", "reading.html", fdr=fdr, alpha=alpha)
