"""The cells of a bench: which generators, and which mitigations on each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from memtk.bench.effects import overridden, split_names
from memtk.config import build
from memtk.errors import UserError

if TYPE_CHECKING:
    from memtk.bench.recipe import BenchOptions
    from memtk.components import ConfiguredComponent


def cells_of(bench: BenchOptions) -> list[tuple[str, tuple[str, ...]]]:
    """Return the cells of a bench: a generator's name, and the mitigations on it in order.

    Raises:
        UserError: if a mitigation is asked for twice, or an entry of `compare` names none.
    """
    found: list[tuple[str, tuple[str, ...]]] = []
    for name in bench.generator:
        found.append((name, bench.mitigation))
        for entry in bench.compare:
            only, names = split_names(entry, bench.generator)
            if only in (None, name):
                found.append((name, (*bench.mitigation, *names)))
    for _, names in found:
        if twice := [n for n in names if names.count(n) > 1]:
            raise UserError(f"mitigation {twice[0]!r} is asked for twice")
    return found


def cell_name(generator: ConfiguredComponent, mitigations: Sequence[ConfiguredComponent]) -> str:
    """Return the name of a cell: monai2d+augment."""
    return "+".join([generator.name, *(part.name for part in mitigations)])


def adjusted_by(
    mitigation: ConfiguredComponent, part: ConfiguredComponent, cell: str
) -> tuple[ConfiguredComponent, str]:
    """Return a generator as a mitigation leaves its settings, and what was changed."""
    before = part.config.model_dump()
    try:
        adjusted = mitigation.make().adjust(before)
    except UserError as error:
        raise UserError(f"{cell}: {error}") from error
    config = build(part.cls.Config, adjusted, where=part.name)
    after = config.model_dump()
    said = [
        f"{key} {_shown(value)} became {_shown(after[key])}"
        for key, value in before.items()
        if value != after[key]
    ]
    return replace(part, config=config), "; ".join(said)


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def check_applied(
    cell: str,
    part: ConfiguredComponent,
    mitigations: Sequence[ConfiguredComponent],
    similarity: ConfiguredComponent,
    quality: Sequence[ConfiguredComponent],
    exposure: str,
) -> None:
    """Refuse mitigations that could not do or could not be judged in a cell.

    Raises:
        UserError: with the way out.
    """
    for mitigation in mitigations:
        own = overridden(mitigation.cls)
        if own & {"teach", "screen"} and similarity.cls.space != "embedding":
            raise UserError(
                f"{cell}: {mitigation.name} goes by what the copy detector finds, and what it "
                f"leaves has to be judged by a second one. Similarity {similarity.name} compares "
                "the images themselves, where there is no second: say --similarity pearson"
            )
        if own & {"teach"} and part.cls.learns_from != "training":
            raise UserError(
                f"{cell}: {part.name} learns nothing from the training images, so that "
                f"{mitigation.name} has nothing to do: leave it out for {part.name}"
            )
        if mitigation.cls.needs_quality and not quality:
            raise UserError(
                f"{cell}: {mitigation.name} weighs memorization against quality, and the bench "
                "measures none: name a measure, as in --quality ms-ssim"
            )
        mitigation.make().check([measure.name for measure in quality], exposure)
