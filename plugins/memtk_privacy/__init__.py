"""Differentially private training, by opacus."""

from __future__ import annotations

from collections.abc import Iterable

from memtk import Component, hookimpl


@hookimpl
def memtk_mitigations() -> Iterable[Component]:
    """Bring the mitigation."""
    return (
        Component(
            name="dp-sgd",
            target="memtk_privacy.dp_sgd:DPSGD",
            summary="Trains with differential privacy: clips what each patient contributes and "
            "adds noise; its epsilon is in the result.",
            needs=("opacus",),
            install="pip install 'memtk[privacy]'",
        ),
    )
