"""The protocols: what counts as memorized, and what would be counted if nothing was."""

from __future__ import annotations

from collections.abc import Iterable

from memtk import Component, hookimpl


@hookimpl
def memtk_protocols() -> Iterable[Component]:
    """Bring the protocols, one module each."""
    return (
        Component(
            name="dar",
            target="memtk_protocols.dar:Dar",
            summary="Reference rule of Dar et al. (arXiv 2402.01054); its null grows with the "
            "number of synthetic images.",
        ),
        Component(
            name="dar-matched",
            target="memtk_protocols.dar:DarMatched",
            summary="Reference rule at equal sizes: as many synthetic as validation images; its "
            "null is 5%.",
        ),
        Component(
            name="conformal",
            target="memtk_protocols.conformal:Conformal",
            summary="Conformal p-values: which images are nearer than a stranger's would be.",
        ),
    )
