"""What a bench would do, without doing it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from rich.console import Group, RenderableType

from memtk.bench.effects import BY_SCORE, overridden
from memtk.bench.plan import Plan
from memtk.bench.selection import check_cells, chosen_training, samples_of
from memtk.data.prepare import Dataset, prepare
from memtk.evaluation.dry_run import add_model, image_table, model_table
from memtk.events import Event, Watch, ignore
from memtk.registry import Registry
from memtk.training.devices import open_devices


def describe_plan(
    plan: Plan,
    registry: Registry,
    *,
    watch: Watch = ignore,
    out: Path | None = None,
    device: str = "auto",
    adjust: Callable[[Plan, Dataset], Plan] | None = None,
) -> RenderableType:
    """Read and check the images, build the networks, and return what would be trained.

    Args:
        watch: told of the reading.
        out: the run folder that would be used.
        device: must be there.
        adjust: returns the plan as it will be run, where that depends on the images.

    Raises:
        UserError: for all that the bench itself would refuse before training, but for a folder
            that cannot be written.
    """
    open_devices(device)
    if plan.recipe.note:
        watch(Event("note", "suite", text=plan.recipe.note))
    with tempfile.TemporaryDirectory() as folder:
        dataset = prepare(plan.data, Path(folder), registry, watch)
        plan = adjust(plan, dataset) if adjust else plan
        spec, counts = dataset.spec, dataset.counts()
        plan.check_dims(spec, registry)
        check_cells(plan, dataset)
        chosen = {
            cell: chosen_training(plan, dataset, plan.mitigations_of(cell))
            for cell in plan.generators
        }
        used = len(chosen_training(plan, dataset))
        drawn = sorted({samples_of(plan, images) for images in chosen.values()})
    models = model_table()
    for name, part in plan.generators.items():
        add_model(models, name, part, spec, len(chosen[name]))
    if notes := _notes(plan):
        models.caption = "\n".join([str(models.caption), *notes])
    bench = plan.recipe.bench
    if plan.embedder:
        trained = add_model(models, plan.embedder.name, plan.embedder, spec, used)
        again = {"last": "the last", "all": "each"}.get(bench.exposure)
        if again and trained:
            models.caption = f"{models.caption}\n{plan.embedder.name} is trained a second time, on "
            models.caption += f"{again} synthetic set" + " of each generator" * (
                again == "the last"
            )
    if plan.extractor and plan.extractor != plan.embedder:
        add_model(models, f"{plan.extractor.name} (extractor)", plan.extractor, spec, used)
    last = (
        f"{used} training images used; up to {bench.checkpoints} checkpoints of each generator, "
        f"{' or '.join(map(str, drawn))} synthetic images each; "
        f"similarity {bench.similarity}; run folder "
        f"{out or plan.default_folder()}"
    )
    return Group(image_table(spec, counts), models, last)


def _notes(plan: Plan) -> list[str]:
    """Say what the mitigations add to, or spare of, what the table lists."""
    notes = []
    for cell in plan.generators:
        methods = {part.name: overridden(part.cls) for part in plan.mitigations_of(cell)}
        shared = next(c for c in plan.generators if plan.series(c) == plan.series(cell))
        if shared != cell:
            notes.append(f"{cell}: not trained again, but taken from {shared}")
        for name, own in methods.items():
            if "teach" in own:
                notes.append(f"{cell}: a first generator is trained too, for {name}")
            if "thin" in own:
                notes.append(f"{cell}: with fewer training images, where {name} leaves any out")
    if plan.embedder and any(
        overridden(part.cls) & set(BY_SCORE) for part in plan.all_mitigations()
    ):
        notes.append(f"{plan.embedder.name}: a second one, for what is chosen by the first")
    return notes
