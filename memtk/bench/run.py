"""Runs a bench: the data, the copy detector, then cell by cell, and the report."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from memtk.bench.cell import run_cell
from memtk.bench.clock import Clock
from memtk.bench.context import Context
from memtk.bench.embedding import Detector
from memtk.bench.folder import check_apart, default_folder, open_run
from memtk.bench.plan import Plan
from memtk.bench.selection import check_cells
from memtk.data.config import DataConfig
from memtk.data.prepare import Dataset, prepare
from memtk.errors import UserError
from memtk.events import Event, Watch, ignore
from memtk.files import FULL, explain, working_in
from memtk.registry import Registry
from memtk.report import build_report
from memtk.results import Result, read_result
from memtk.training.devices import Devices, open_devices


@dataclass(frozen=True)
class FinishedRun:
    """What a bench leaves behind.

    Args:
        folder: the run folder.
        results: one a cell.
        report: the page.
    """

    folder: Path
    results: tuple[Result, ...]
    report: Path


def run_bench(
    plan: Plan,
    registry: Registry,
    *,
    out: Path | None = None,
    device: str = "auto",
    resume: bool = True,
    watch: Watch = ignore,
) -> FinishedRun | None:
    """Run every cell that is not finished yet, and make the report.

    Args:
        out: the run folder; by default one that the recipe determines.
        device: see `memtk.training.devices.open_devices`.
        resume: False throws away what an earlier run left in the folder.
        watch: told of all that happens, on the first process.

    Returns:
        What was found; None on all processes but the first.

    Raises:
        UserError: for data, settings or a folder that cannot be used.
    """
    devices = open_devices(device)
    folder = out or default_folder(plan.recipe, plan.identity())
    check_apart(folder, plan.data.sources())
    watch = watch if devices.is_main else ignore
    if not devices.is_main:
        devices.wait()
        _run(plan, registry, folder, devices, watch)
        return None
    with working_in(folder), explain(folder, FULL):
        open_run(folder, plan.identity(), list(plan.generators), resume=resume)
        if plan.recipe.note:
            watch(Event("note", "suite", text=plan.recipe.note))
        devices.wait()
        results = _run(plan, registry, folder, devices, watch)
        report = build_report(folder, registry)
    return FinishedRun(folder, tuple(results), report)


def _run(
    plan: Plan, registry: Registry, folder: Path, devices: Devices, watch: Watch
) -> list[Result]:
    clock = Clock(folder / "timing.json" if devices.is_main else None)
    with clock("reading the images"):
        dataset = prepared(plan.data, registry, folder, devices, watch)
    plan.check_dims(dataset.spec, registry)
    check_cells(plan, dataset)
    bench = plan.recipe.bench
    context = Context(dataset, devices, folder, clock, watch, bench.seed, bench.batch_size)
    detector, results = None, []
    second = cache(lambda: train_detector(context, plan, second=True))
    for name, part in plan.generators.items():
        done = folder / "cells" / name / "result.json"
        if done.exists():
            watch(Event("skip", f"cell {name}"))
            results.append(read_result(done))
            continue
        detector = detector or train_detector(context, plan)
        results.append(run_cell(context, plan, name, part, detector, second))
    return results


def train_detector(context: Context, plan: Plan, *, second: bool = False) -> Detector | None:
    """Return the copy detector of a run, trained on all training images; None in image space.

    It is trained once, whatever the mitigations leave to the generators.

    Args:
        second: another one of the same kind, of other weights and another order, which had no part
            in what was chosen by the first.
    """
    if plan.embedder is None:
        return None
    folder, name = context.folder / "embedder", plan.recipe.bench.embedder
    return Detector(
        context,
        plan.embedder,
        context.dataset.split("training"),
        folder / "second" if second else folder,
        f"the second embedder {name}" if second else f"the embedder {name}",
    )


def prepared(
    data: DataConfig, registry: Registry, folder: Path, devices: Devices, watch: Watch
) -> Dataset:
    """Read the images on the first process; the others open what it wrote.

    Raises:
        UserError: if the images are not those that the run began with, or a split is empty.
    """
    if devices.is_main:
        made = prepare(data, folder / "data", registry, watch)
        if any(path != made.path for path in (folder / "data").glob("*.h5")):
            made.path.unlink()
            raise UserError(
                f"the images have changed since the run in {folder} began.\n"
                "Choose another folder with --out, or throw that run away with --no-resume."
            )
    devices.wait()
    dataset = prepare(data, folder / "data", registry)
    for split in ("training", "validation"):
        if not len(dataset.split(split)):
            raise UserError(f"the data have no {split} images: mark some in the manifest's split")
    return dataset
