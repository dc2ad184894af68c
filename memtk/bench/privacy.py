"""Differential privacy in a bench: who asks for it, what goes with it, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from memtk.bench.effects import overridden
from memtk.components import ConfiguredComponent
from memtk.errors import UserError
from memtk.interfaces import Generator, Images, Mitigation, Private
from memtk.results import Deed, Privacy, PrivatePhase
from memtk.training.accounting import PrivacyGuarantee
from memtk.training.privacy import budget_of, check_private

LOOKS = frozenset({"thin", "teach", "stop", "screen"})
"""What a mitigation may do that goes by the training images, outside of what epsilon covers."""


def private_of(mitigations: Sequence[Mitigation]) -> Private | None:
    """Return how a generator is trained privately; None if no mitigation asks for it."""
    return next((p for m in mitigations if (p := m.private()) is not None), None)


def check_privacy(
    cell: str, generator: Generator, mitigations: Sequence[ConfiguredComponent], images: Images
) -> None:
    """Refuse what would make the epsilon of a cell untrue.

    Args:
        images: that the generator learns from, before any is thinned out.

    Raises:
        UserError: for a budget that no noise keeps, a generator that cannot be trained privately,
            or a mitigation that goes by the training images without noise.
    """
    asking = [part for part in mitigations if "private" in overridden(part.cls)]
    if not asking:
        return
    if len(asking) > 1:
        raise UserError(f"{cell}: {asking[0].name} and {asking[1].name} both set the privacy")
    for part in mitigations:
        if overridden(part.cls) & LOOKS:
            raise UserError(
                f"{cell}: {part.name} goes by the training images themselves, which the epsilon of "
                f"{asking[0].name} does not cover: leave one of them out"
            )
    check_private(generator, cell)
    private = asking[0].make().private()
    if private is not None:
        budget_of(private, generator, images)


def privacy_of(spent: PrivacyGuarantee | None) -> Privacy | None:
    """Return the guarantee as a result keeps it."""
    if spent is None:
        return None
    phases = [
        PrivatePhase(name=s.phase, steps=s.steps, sample_rate=s.sample_rate) for s in spent.phases
    ]
    return Privacy(
        epsilon=spent.epsilon,
        delta=spent.delta,
        unit=spent.unit,
        units=spent.units,
        most_images=spent.most_images,
        noise_multiplier=spent.noise_multiplier,
        max_grad_norm=spent.max_grad_norm,
        steps=sum(phase.steps for phase in phases),
        phases=phases,
        accountant=spent.accountant,
        opacus_version=version("opacus"),
        secret=spent.secret,
        notes=list(spent.notes),
    )


def deed_of(privacy: Privacy | None, mitigations: Sequence[ConfiguredComponent]) -> list[Deed]:
    """Return what the mitigation did, in a sentence."""
    names = [part.name for part in mitigations if "private" in overridden(part.cls)]
    if privacy is None or not names:
        return []
    text = (
        f"Trained with differential privacy: epsilon {privacy.epsilon:.3g} at delta "
        f"{privacy.delta:.2g} for each {privacy.unit}, over {privacy.steps:,} noisy steps."
    )
    return [Deed(mitigation=names[0], text=text)]
