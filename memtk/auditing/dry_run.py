"""What an audit would do, without doing it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rich.console import Group, RenderableType

from memtk.auditing.plan import AuditPlan
from memtk.data.prepare import prepare
from memtk.evaluation.dry_run import add_model, image_table, model_table
from memtk.evaluation.folder import named_folder
from memtk.events import Watch, ignore
from memtk.registry import Registry
from memtk.training.devices import open_devices


def describe_audit(
    plan: AuditPlan,
    registry: Registry,
    *,
    watch: Watch = ignore,
    out: Path | None = None,
    device: str = "auto",
) -> RenderableType:
    """Read and check the images, build the embedder, and return what would be done.

    Raises:
        UserError: for all that the audit itself would refuse before training.
    """
    open_devices(device)
    with tempfile.TemporaryDirectory() as folder:
        dataset = prepare(plan.data, Path(folder), registry, watch)
        spec, counts = dataset.spec, dataset.counts()
        plan.check_dims(spec, registry)
    models = model_table()
    if plan.embedder is not None:
        trained = add_model(models, plan.embedder.name, plan.embedder, spec)
        if plan.options.exposure and plan.options.weights is None and trained:
            models.add_row(plan.embedder.name, "again, on the synthetic images", "", "", "")
    patients = counts["validation"]["patients"]
    fdr = plan.options.fdr
    last = (
        f"up to {plan.options.plants} planted patients; similarity {plan.options.similarity}; run "
        f"folder {out or named_folder('audit', plan.identity())}\n"
        f"With {patients} validation patients the smallest p-value is 1/{patients + 1}: images can "
        f"be flagged where more than about {100 / (fdr * (patients + 1)):.3g} % of the synthetic "
        "ones are copies."
    )
    shown: list[RenderableType] = [image_table(spec, counts)]
    shown += [models] if plan.embedder else []
    return Group(*shown, last)
