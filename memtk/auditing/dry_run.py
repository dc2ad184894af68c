"""What an audit would do, without doing it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rich.console import Group, RenderableType

from memtk.auditing.plan import AuditPlan
from memtk.data.prepare import prepare
from memtk.evaluation.dry_run import add_model, image_table, model_table, outlook
from memtk.evaluation.folder import named_folder
from memtk.events import Watch, ignore
from memtk.interfaces import Levels
from memtk.memorization import Sizes
from memtk.registry import Registry
from memtk.results import Policy
from memtk.training.devices import open_devices


def describe_audit(
    plan: AuditPlan,
    registry: Registry,
    *,
    watch: Watch = ignore,
    out: Path | None = None,
    device: str = "auto",
    policy: Policy | None = None,
) -> RenderableType:
    """Read and check the images, build the embedder, and return what would be done.

    Args:
        policy: by which it is said what a pass takes; None: the default one.

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
    options = plan.options
    training = counts["training"]["patients"]
    sizes = Sizes(
        training=training,
        validation=counts["validation"]["patients"],
        synthetic=counts["synthetic"]["images"],
        planted=min(options.plants, training),
    )
    levels = Levels(alpha=options.alpha, fdr=options.fdr)
    said = outlook(sizes, policy or Policy(), levels).sentences()
    if not options.exposure:
        said = ("Without the exposure side no audit can pass: leave out --no-exposure.", *said[1:])
    last = (
        f"up to {plan.options.plants} planted patients; similarity {plan.options.similarity}; run "
        f"folder {out or named_folder('audit', plan.identity())}\n" + "\n".join(said)
    )
    shown: list[RenderableType] = [image_table(spec, counts)]
    shown += [models] if plan.embedder else []
    return Group(*shown, last)
