"""The list of the synthetic images that an audit did not name, and the audit of these."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from memtk import memorization
from memtk.auditing.plan import AuditOptions, AuditPlan, make_audit_plan
from memtk.auditing.run import FinishedAudit, run_audit
from memtk.auditing.screen import Screen
from memtk.data.config import DataConfig
from memtk.data.sources import Sample, open_source
from memtk.errors import UserError, many
from memtk.evaluation.context import prepared
from memtk.events import Watch, ignore
from memtk.files import write_text
from memtk.folders import claim, sweep
from memtk.memorization.exposure import Drop
from memtk.registry import Registry
from memtk.report.pictures import read_key
from memtk.results import Policy, read_arrays, read_audit, read_run_file
from memtk.results.run import run_of
from memtk.results.store import csv_text
from memtk.training.devices import open_devices

VOID = (
    "What was chosen by a score cannot be tested by that score again: the numbers of the first "
    "audit say nothing about the images that are left."
)
"""What filtering does to a test."""

FIRST = (
    "No second audit is made: the same detector, trained again, could not pass these images. "
    "One of another kind looks with other eyes: --second-similarity ncc, or --second-embedder "
    "NAME. The first audit:"
)
SECOND = "The second audit, of the same images by another detector:"
"""What is said where nothing was taken away."""


@dataclass(frozen=True)
class ReleaseOptions:
    """By what images are taken away, and by what those that are left are judged.

    Args:
        policy: of the second audit, but for its seed; None: that of the first.
        drop: which are taken away; see `suspects`.
        embedder: the second one; None: the same, trained from other weights in another order.
        similarity: of the second audit; None: that of the first.
    """

    policy: Policy | None = None
    drop: Drop = "flagged"
    embedder: str | None = None
    similarity: str | None = None


@dataclass(frozen=True)
class Release:
    """What `release` leaves behind.

    Args:
        manifest: CSV of the images that are left: path, item, split.
        dropped: how many were taken away.
        again: whether there was a second audit.
        audit: of what is left, by a second embedder; where nothing was taken away and no other was
            asked for, the first audit.
    """

    manifest: Path
    kept: int
    dropped: int
    again: bool
    audit: FinishedAudit


def suspects(folder: Path, drop: Drop = "flagged", alpha: float = 0.05) -> np.ndarray:
    """Return which synthetic images of an audit are taken away, bool (M,).

    See `memtk.memorization.withhold`, which `release-filter` of a bench goes by too.

    Raises:
        UserError: if the folder holds no finished audit.
    """
    return memorization.withhold(read_arrays(folder / "arrays.h5", "audit"), drop, alpha)


def release(
    folder: Path,
    registry: Registry,
    options: ReleaseOptions,
    *,
    out: Path | None = None,
    device: str = "auto",
    resume: bool = True,
    watch: Watch = ignore,
) -> Release | None:
    """Write the manifest of the synthetic images that are left, and audit those anew.

    The second audit uses an embedder that had no part in the choice: another one, if named, or the
    same trained from other weights in another order, which cannot pass. Validation images and
    planted copies that the first audit would have taken away are left out of the second; see
    `Screen`. Where nothing is taken away there is no second audit unless another embedder or
    similarity is asked for: the same one trained again could not pass.

    Args:
        folder: of a finished `memtk audit` of images, or what lies in it; see `run_of`.
        options: which images are taken away, and who judges the others.
        out: for the manifest and the second audit; by default `folder/release`.

    Returns:
        What was done; None on all processes but the first.

    Raises:
        UserError: if the folder holds no finished audit of images, the images have changed, nothing
            is left, the second audit would look with the same eyes, a policy is given where there
            is no second audit, or `out` holds another release.
    """
    devices = open_devices(device)
    folder, _ = run_of(folder)
    audit = read_audit(folder / "audit.json")
    if audit.data is None:
        raise UserError(
            f"{folder} is an audit of embeddings: which files they came from it does not know. "
            "copies.csv in it lists them, the most suspicious first."
        )
    if audit.screened is not None:
        raise UserError(
            f"{folder} is the second audit of a release already: what it says is of images that a "
            "first audit left. Release from the first one again, with another --drop or policy."
        )
    plan = _first_plan(folder, registry)
    chosen = suspects(folder, options.drop, plan.options.alpha)
    alone = not chosen.any() and options.embedder is None and options.similarity is None
    if alone and options.policy is not None:
        raise UserError(
            f"the audit in {folder} named no image, so that none is left out and no second audit "
            "is made: give that audit the policy, by its command with --policy"
        )
    second_options = (
        {} if alone else _second_options(plan, registry, options.embedder, options.similarity)
    )
    rows = [s for s in open_source(plan.data, registry).samples if s.split == "synthetic"]
    if len(rows) != len(chosen):
        raise UserError(
            f"the audit in {folder} was of {many(len(chosen), 'synthetic image')}, and there are "
            f"{len(rows)} now: run the audit again"
        )
    if devices.is_main:
        sweep(folder / "data", deep=False)
    look = partial(plan.look, registry)
    there = prepared(plan.data, registry, folder, devices, watch, look)
    if there.fingerprint != audit.data.fingerprint:
        raise UserError(f"the images have changed since the audit in {folder}: run it again")
    kept = [row for row, gone in zip(rows, chosen.tolist(), strict=True) if not gone]
    if not kept:
        raise UserError(
            f"all {many(len(rows), 'synthetic image')} are flagged: there is none to release"
        )
    out = (out or folder / "release").absolute()
    if out == folder.absolute():
        raise UserError(f"--out {out}: the first audit is there; name another folder")
    manifest = out / "release.csv"
    if devices.is_main:
        _write_manifest(manifest, kept, resume=resume)
        write_text(out / "key", read_key(folder).hex(), private=True)
    devices.wait()
    if alone:
        first_audit = FinishedAudit(folder, audit, folder / "report.html")
        return Release(manifest, len(kept), 0, False, first_audit)
    first = options.policy or audit.policy  # the second audit has another seed, by rule
    policy = Policy.model_validate(first.model_dump(exclude_unset=True, exclude={"seed"}))
    fixed = policy.levels
    data = plan.data.model_dump(exclude_unset=True, exclude={"condition"})
    if stratify := fixed.pop("stratify", None):
        data["stratify"] = stratify
    second_options |= fixed
    by_images = registry.load("similarity", second_options["similarity"]).space == "image"
    alike = not by_images and second_options["embedder"] == plan.options.embedder
    second = make_audit_plan(
        registry,
        {k: v for k, v in second_options.items() if v is not None},
        data=data | {"synthetic_source": str(manifest)},
        settings={k: v for k, v in plan.settings.items() if k == "embedder" and alike},
    )
    screen = Screen(
        folder,
        options.drop,
        plan.options.alpha,
        plan.similarity,
        plan.embedder,
        same=_design(plan) == _design(second),
    )
    finished = run_audit(
        replace(second, screen=screen),
        registry,
        policy=policy,
        out=out / "audit",
        device=device,
        resume=resume,
        watch=watch,
    )
    if finished is None:
        return None
    return Release(manifest, len(kept), len(rows) - len(kept), True, finished)


def _design(plan: AuditPlan) -> tuple[str | None, str]:
    """Return what tells designs apart: the embedder, or in image space the similarity."""
    if plan.embedder is None:
        return None, plan.similarity.entry.name
    return plan.embedder.entry.name, ""


def _second_options(
    plan: AuditPlan, registry: Registry, embedder: str | None, similarity: str | None
) -> dict[str, Any]:
    """Return the options of the second audit.

    Raises:
        UserError: if it would compare the images as the first did: nothing is trained there whose
            weights could differ.
    """
    in_images = plan.embedder is None
    if in_images and embedder is None and similarity in (None, plan.options.similarity):
        raise UserError(
            f"the first audit compared the images themselves ({plan.options.similarity}), and what "
            "was chosen by a score cannot be tested by that score again: name another for the "
            "second audit, --second-embedder NAME or --second-similarity NAME"
        )
    if in_images and embedder is not None:
        similarity = similarity or AuditOptions.model_fields["similarity"].default
    options = plan.options.model_dump() | {"seed": plan.options.seed + 1}
    if similarity:
        options["similarity"] = similarity
        if embedder is None and registry.load("similarity", similarity).space == "image":
            options |= {"embedder": None, "preset": None}
    options |= {"weights": None, "quality": ()}  # the second is trained here, and judges alone
    return options | ({"embedder": embedder, "preset": None} if embedder else {})


def _write_manifest(path: Path, kept: Sequence[Sample], *, resume: bool) -> None:
    """Write the list of what is left, beside no audit but one of these very images.

    Raises:
        UserError: if there is another list with its audit.
    """
    claim(path.parent, "release")
    sweep(path.parent, deep=False)
    rows = []
    for row in kept:
        assert row.record is not None
        name = os.path.relpath(row.record.path.absolute(), path.parent)
        rows.append((name, row.record.item, "synthetic"))
    text = csv_text(("path", "item", "split"), rows)
    old = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
    if old is not None and old != text:
        if resume and (path.parent / "audit" / "run.json").exists():
            raise UserError(
                f"{path.parent} holds another release: choose another folder with --out, or throw "
                "that release away with --no-resume"
            )
        for name in ("audit.json", "report.html"):  # were of the other list
            (path.parent / "audit" / name).unlink(missing_ok=True)
    write_text(path, text)


def _first_plan(folder: Path, registry: Registry) -> AuditPlan:
    recipe = read_run_file(folder).recipe
    options = {k: v for k, v in recipe["audit"].items() if v is not None and k != "weights"}
    data = DataConfig.model_validate(recipe["data"]).model_dump(exclude_unset=True)
    return make_audit_plan(registry, options, data=data, settings=recipe["settings"])
