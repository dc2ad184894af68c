"""Conditions and prompts in a bench: what each sample is to be, and what came of it."""

from __future__ import annotations

from pathlib import Path, PurePath

import numpy as np
from torch import Tensor

from memtk.bench.recipe import Recipe
from memtk.components import ConfiguredComponent
from memtk.data.conditions import drawn_conditions, read_conditions, shares_in_words
from memtk.data.config import DataConfig
from memtk.data.images import StoredImages
from memtk.data.manifest import few
from memtk.data.sources import open_source
from memtk.errors import UserError
from memtk.files import file_digest
from memtk.interfaces import Generator, check_guidance, takes_condition
from memtk.registry import open_registry
from memtk.results import MeasureRecord


def is_conditional(part: ConfiguredComponent) -> bool:
    """Tell whether a generator takes conditions: its `sample` has an argument `condition`."""
    return takes_condition(part.cls.sample)


def check_conditions(
    recipe: Recipe, data: DataConfig, generators: dict[str, ConfiguredComponent]
) -> None:
    """Refuse conditions that nobody takes, and a file of conditions or guidance without any.

    Generators that take none, such as the controls, may stand beside one that does.

    Raises:
        UserError: with the way out.
    """
    given = recipe.bench.condition_from
    if not data.condition:
        if given:
            raise UserError(
                "--condition-from says what the samples are to be, and no column is a condition: "
                "name one with --condition, or leave it out"
            )
        for part in generators.values():
            tables = (recipe.settings.get(name, {}) for name in ("generator", part.name))
            if is_conditional(part) and any("guidance" in table for table in tables):
                check_guidance(float(getattr(part.config, "guidance", 1)), ())
        return
    if not any(is_conditional(part) for part in generators.values()):
        raise UserError(
            f"--condition {data.condition[0]}: {', '.join(generators)} takes no condition, as its "
            "sample has no argument of that name: name a generator that does (monai2d, monai3d, "
            "diffusers2d), or leave --condition out. Images that are there already are reported "
            "by what they were to be with memtk audit --synthetic MADE.csv --condition "
            f"{data.condition[0]}"
        )
    if given:
        contents_of(recipe)


def contents_of(recipe: Recipe) -> dict[str, str]:
    """Return a hash of the file of conditions by its key in a run's identity; {} without one.

    Raises:
        UserError: if the file cannot be read.
    """
    if recipe.bench.condition_from is None:
        return {}
    path = Path(recipe.bench.condition_from).expanduser()
    try:
        return {"condition_from": file_digest(path)}
    except UserError as error:
        raise UserError(f"--condition-from: {error}") from error


def sample_conditions(
    part: ConfiguredComponent, recipe: Recipe, training: StoredImages, count: int, seed: int
) -> Tensor | None:
    """Return what each sample of a generator is to be, (M, K); None where it is told nothing.

    Args:
        training: the training images, whose conditions samples follow where no file says others.
        count: of samples, M.

    Raises:
        UserError: for a file that does not fit the conditions.
    """
    if training.conditions is None or not is_conditional(part):
        return None
    given = recipe.bench.condition_from
    if given is None:
        return drawn_conditions(training.conditions, count, seed)
    return read_conditions(Path(given).expanduser(), training.spec.conditions, count)


def conditions_note(
    cell: str, part: ConfiguredComponent, recipe: Recipe, training: StoredImages, count: int
) -> tuple[str, ...]:
    """Say what a generator is told in training and sampling; nothing in a run without conditions.

    Raises:
        UserError: see `sample_conditions`.
    """
    if training.conditions is None:
        return ()
    drawn = sample_conditions(part, recipe, training, count, recipe.bench.seed)
    if drawn is None:
        return (f"{cell}: takes no condition, and is trained and sampled without",)
    known, made = (
        shares_in_words(training.spec.conditions, each) for each in (training.conditions, drawn)
    )
    return (f"{cell}: told in training {known}; in sampling {made}",)


def images_written_for(generator: Generator, data: DataConfig, count: int) -> np.ndarray | None:
    """Return the training image that the prompt of each sample was written for.

    Args:
        generator: one with `written_for`; of any other there is nothing to say.
        data: whose training images the names are of.

    Returns:
        Rows of the prepared training images, int64 (M,), -1 where a prompt was written for none;
        None where all were.

    Raises:
        UserError: for a name that no training image has, or several have.
    """
    written_for = getattr(generator, "written_for", None)
    names = [written_for(sample) for sample in range(count)] if written_for else []
    if not any(names):
        return None
    rows: dict[str, int] = {"": -1}
    training = [s for s in open_source(data, open_registry()).samples if s.split == "training"]
    places = [s.record.path.parts if s.record else () for s in training]
    for name in dict.fromkeys(filter(None, names)):
        own = PurePath(name).parts
        found = [row for row, place in enumerate(places) if place[-len(own) :] == own]
        if len(found) != 1:
            there = few([sample.name for sample in training])
            raise UserError(
                f"a prompt was written for the image {name}: {len(found) or 'none'} of the "
                f"training images ({there}) end in that path. Name each as the manifest does, or "
                "leave the column image out"
            )
        rows[name] = found[0]
    return np.array([rows[name] for name in names])


def prompts_table(written: np.ndarray, nearest: np.ndarray) -> dict[str, MeasureRecord]:
    """Return how often a sample is nearest to the training image that its prompt was written for.

    By chance: if the nearest images were dealt out anew among these samples.

    Args:
        written: of `images_written_for`, (M,).
        nearest: the training image nearest to each sample, (M,).
    """
    told, near = written[written >= 0], nearest[written >= 0]
    own = told == near
    return {
        "own_image": MeasureRecord(
            value=float(own.mean()),
            title="nearest to the image that the prompt was written for",
            side="",
            count=int(own.sum()),
            of=len(told),
            null=float((told[:, None] == near).mean()),
            note="By chance: if the nearest training images were dealt out among these samples.",
        )
    }
