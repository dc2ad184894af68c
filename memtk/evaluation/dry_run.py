"""What a run would read and train, as tables for a dry run."""

from __future__ import annotations

from collections.abc import Mapping

from rich.filesize import decimal
from rich.table import Table

from memtk.components import ConfiguredComponent
from memtk.interfaces import ImageSpec, Trainable
from memtk.training.footprint import describe, peak_memory


def image_table(spec: ImageSpec, counts: Mapping[str, Mapping[str, int]]) -> Table:
    """Return the numbers of images and patients of each group."""
    size = " x ".join(map(str, spec.shape))
    title = f"images of {size}, channels: {spec.channels}"
    images = Table(title=title, title_justify="left", min_width=len(title) + 1)
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
    table: Table, name: str, part: ConfiguredComponent, spec: ImageSpec, images: int | None = None
) -> bool:
    """Add the phases of a model; return whether there are any.

    Args:
        images: of the training set, where it is known.
    """
    model: Trainable = part.make(spec)
    plans, phases = describe(model), model.phases()
    model.to("meta")
    for plan, phase in zip(plans, phases, strict=True):
        memory = peak_memory(model, phase) if plan.steps else None
        epochs = f"{plan.steps * plan.batch_size / images:,.0f}" if images else ""
        table.add_row(
            name,
            plan.phase,
            f"{plan.steps:,}",
            epochs,
            str(plan.batch_size),
            f"{sum(plan.parameters.values()):,}",
            decimal(memory) if memory else "",
        )
    if not plans:
        table.add_row(name, "comes trained")
    return bool(plans)
