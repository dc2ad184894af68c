"""What a bench would do, without doing it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table

from memtk.bench.folder import default_folder
from memtk.bench.plan import Part, Plan
from memtk.bench.selection import check_cells, chosen_training, samples_of
from memtk.data.prepare import prepare
from memtk.events import Watch, ignore
from memtk.interfaces import ImageSpec, Trainable
from memtk.registry import Registry
from memtk.training.devices import open_devices
from memtk.training.memory import estimate
from memtk.training.plan import describe


def describe_plan(
    plan: Plan,
    registry: Registry,
    *,
    watch: Watch = ignore,
    out: Path | None = None,
    device: str = "auto",
) -> RenderableType:
    """Read and check the images, build the networks, and return what would be trained.

    Args:
        watch: told of the reading.
        out: the run folder that would be used.
        device: must be there.

    Raises:
        UserError: for all that the bench itself would refuse before training, but for a folder
            that cannot be written.
    """
    open_devices(device)
    with tempfile.TemporaryDirectory() as folder:
        dataset = prepare(plan.data, Path(folder), registry, watch)
        spec, counts = dataset.spec, dataset.counts()
        plan.check_dims(spec, registry)
        check_cells(plan, dataset)
        training = chosen_training(plan, dataset)
        used, samples = len(training), samples_of(plan, training)
    models = model_table()
    for name, part in plan.generators.items():
        add_model(models, name, part, spec, used)
    bench = plan.recipe.bench
    if plan.embedder:
        add_model(models, plan.embedder.name, plan.embedder, spec, used)
        again = {"last": "the last", "all": "each"}.get(bench.exposure)
        if again:
            models.add_row(plan.embedder.name, f"again, on {again} synthetic set")
    last = (
        f"{used} training images used; up to {bench.checkpoints} checkpoints of each generator, "
        f"{samples} synthetic images each; similarity {bench.similarity}; run folder "
        f"{out or default_folder(plan.recipe, plan.identity())}"
    )
    return Group(image_table(spec, counts), models, last)


def image_table(spec: ImageSpec, counts: Mapping[str, Mapping[str, int]]) -> Table:
    """Return the numbers of images and patients of each group."""
    size = " x ".join(map(str, spec.shape))
    images = Table(title=f"images of {size}, channels: {spec.channels}", title_justify="left")
    for column in ("split", "images", "patients"):
        images.add_column(column, justify="left" if column == "split" else "right")
    for split, count in counts.items():
        patients = "" if split == "synthetic" else str(count["patients"])
        images.add_row(split, str(count["images"]), patients)
    return images


def model_table() -> Table:
    """Return a table for `add_model`."""
    models = Table(
        title="what would be trained",
        title_justify="left",
        caption="memory: an estimate of what one process needs in float32, without the program",
        caption_justify="left",
    )
    for column in ("model", "phase", "steps", "epochs", "batch", "parameters", "memory"):
        models.add_column(column, justify="left" if column in {"model", "phase"} else "right")
    return models


def add_model(
    table: Table, name: str, part: Part, spec: ImageSpec, images: int | None = None
) -> None:
    """Add the phases of a model.

    Args:
        images: of the training set, where it is known.
    """
    model: Trainable = part.make(spec)
    plans, phases = describe(model), model.phases()
    model.to("meta")
    for plan, phase in zip(plans, phases, strict=True):
        epochs = f"{plan.steps * plan.batch_size / images:,.0f}" if images else ""
        table.add_row(
            name,
            plan.phase,
            f"{plan.steps:,}",
            epochs,
            str(plan.batch_size),
            f"{sum(plan.parameters.values()):,}",
            shown_bytes(estimate(model, phase) if plan.steps else None),
        )
    if not plans:
        table.add_row(name, "comes trained")


def shown_bytes(count: int | None) -> str:
    """Return a number of bytes in words, two digits of it; nothing for None.

    >>> [shown_bytes(n) for n in (900, 1_500_000, 23_456_789_000, None)]
    ['0.9 kB', '1.5 MB', '23 GB', '']
    """
    if count is None:
        return ""
    value, unit = count / 1000, "kB"
    for larger in ("MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.{1 if value < 9.95 else 0}f} {unit}"
