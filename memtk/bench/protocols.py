"""From a judgement's arrays to the numbers of a result."""

from __future__ import annotations

from memtk.memorization import Judgement
from memtk.results import Conformal, Dar, DarMatched, Protocols


def protocols_of(judgement: Judgement, alpha: float, fdr: float) -> Protocols:
    """Return the numbers of every protocol. Counts of validation patients bound what they show."""
    dar, matched, copies, exposure = (
        judgement.dar,
        judgement.matched,
        judgement.copies,
        judgement.exposure,
    )
    notes = []
    if not copies.can_reject:
        notes.append(
            f"With so few validation patients the smallest possible p-value is {copies.finest:.3f}:"
            " no image could have been flagged. More validation patients are needed."
        )
    return Protocols(
        dar=Dar(
            tau=dar.tau,
            n_mem=dar.n_mem,
            n_copies=dar.n_copies,
            mem_fraction=dar.mem_fraction,
            copy_fraction=dar.copy_fraction,
            expected_mem_fraction=dar.expected_mem_fraction,
            validation_called_copies=dar.validation_called_copies,
        ),
        dar_matched=DarMatched(
            n_mem=matched.n_mem, mem_fraction=matched.mem_fraction, reason=matched.reason
        ),
        conformal=Conformal(
            alpha=alpha,
            fdr=fdr,
            copies_flagged_fraction=copies.flagged_fraction,
            copies_expected_fraction=copies.expected_fraction,
            n_copies=copies.n_flagged,
            exposed_flagged_fraction=exposure.flagged_fraction if exposure else None,
            exposed_expected_fraction=exposure.expected_fraction if exposure else None,
            n_mem=exposure.n_flagged if exposure else None,
            patients_exposed=judgement.patients_exposed if exposure else None,
            finest_p=copies.finest,
            can_reject=copies.can_reject,
            notes=notes,
        ),
    )
