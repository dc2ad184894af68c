"""What a run would read, train and could show, for a dry run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from memtk.components import ConfiguredComponent
from memtk.data.checks.findings import Finding
from memtk.errors import many
from memtk.interfaces import ImageSpec, Levels, Phase, Trainable
from memtk.memorization import BestCase, Limits, Sizes, best_case
from memtk.results import Policy
from memtk.results.formats import about_time, part, share
from memtk.training.devices import Devices
from memtk.training.footprint import PhasePlan, describe, peak_memory, step_seconds

TIMED = 2**30
"""Bytes of memory up to which a step is taken to tell how long a training lasts."""


def image_table(spec: ImageSpec, counts: Mapping[str, Mapping[str, int]]) -> Table:
    """Return the numbers of images and patients of each group."""
    size = " x ".join(map(str, spec.shape))
    title = f"images of {size}, channels: {spec.channels}"
    images = Table(title=title, title_justify="left", min_width=len(title) + 1)
    for column in ("split", "images", "patients"):
        images.add_column(column, justify="left" if column == "split" else "right")
    for split, count in counts.items():
        patients = "" if split == "synthetic" else str(count["patients"])
        images.add_row(split.replace("_", "-"), str(count["images"]), patients)
    return images


def model_table() -> Table:
    """Return a table for `add_model`."""
    models = Table(
        title="what would be trained",
        title_justify="left",
        caption="memory: an estimate of what one process needs in float32, without the program\n"
        "time: of the training alone, by a step that was taken here on noise",
        caption_justify="left",
    )
    for column in ("model", "phase", "steps", "epochs", "weights", "memory", "time"):
        models.add_column(column, justify="left" if column in {"model", "phase"} else "right")
    return models


def add_model(
    table: Table,
    name: str,
    part: ConfiguredComponent,
    spec: ImageSpec,
    devices: Devices,
    images: int | None = None,
) -> bool:
    """Add the phases of a model; return whether there are any.

    Args:
        devices: that it would be trained on.
        images: of the training set, where it is known.
    """
    model: Trainable = part.make(spec)
    phases = _phases(model, part, devices)
    for plan, phase, memory, seconds in phases:
        epochs = f"{plan.steps * plan.batch_size / images:,.0f}" if images else ""
        table.add_row(
            name,
            plan.phase,
            "up to " * (phase.settings.enough > 0) + f"{plan.steps:,}",
            epochs,
            f"{sum(plan.parameters.values()) / 1e6:.3g} M",
            decimal(memory) if memory else "",
            about_time(seconds) if seconds else "",
        )
    if not phases:
        table.add_row(name, "comes trained")
    if (say := getattr(model, "dry_run", None)) is not None:
        table.caption = f"{table.caption}\n{escape(say())}"
    return bool(phases)


def training_seconds(part: ConfiguredComponent, spec: ImageSpec, devices: Devices) -> float | None:
    """Return about how long a model is trained, all phases together; None where nobody can tell."""
    found = _phases(part.make(spec), part, devices)
    times = [seconds for plan, _, _, seconds in found if plan.steps]
    return None if None in times else sum(each for each in times if each is not None)


def _phases(
    model: Trainable, part: ConfiguredComponent, devices: Devices
) -> list[tuple[PhasePlan, Phase, int | None, float | None]]:
    """Return each phase of a model with its memory in bytes and its seconds, where it has any."""
    plans, phases, found = describe(model), model.phases(), []
    model.to("meta")
    for plan, phase in zip(plans, phases, strict=True):
        memory = peak_memory(model, phase) if plan.steps else None
        taken = None
        if memory is not None and memory <= TIMED:
            trial = part.make(model.spec)
            own = next(each for each in trial.phases() if each.name == plan.phase)
            taken = step_seconds(trial, own, devices)
        found.append((plan, phase, memory, plan.steps * taken if taken else None))
    return found


@dataclass(frozen=True)
class Outlook:
    """What an audit of some sizes can show by a policy at best, and what is likely."""

    sizes: Sizes
    policy: Policy
    best: BestCase

    def sentences(self) -> tuple[str, ...]:
        """Say what a pass takes, and how few copies and patients would be told."""
        return (self._pass(), *self._needed(), *self._planted(), self._named(), self._counted())

    def finding(self, *, made: bool) -> Finding:
        """Say the same as a finding on the images; `made`: synthetic ones are among them."""
        first, needed, *others = self.sentences()
        if not made:
            first += (
                f" That is for {many(self.sizes.synthetic, 'synthetic image')}: none are given."
            )
        found, way = (text.removesuffix(".") for text in (" ".join([first, *others]), needed))
        likely = self.best.likely_pass
        title = "an audit of these sizes can pass"
        return Finding(title, "accepted" if likely else "note", found, way)

    def _pass(self) -> str:
        best, policy = self.best, self.policy
        allowed = (
            f"the policy allows {share(policy.max_copy_rate)} and "
            f"{share(policy.max_unseen_patients)}"
        )
        patients = part(best.likely_unseen_patients, self.sizes.training, "training patient")
        found = (
            f"the copy rate would be bounded by {share(best.likely_copy_rate_bound)} or less, and "
            f"at most {patients} not excluded from being exposed"
        )
        if best.likely_pass:
            return (
                "Of a generator that has memorized nothing, a pass is likely at these sizes: "
                f"{found}; {allowed}."
            )
        if best.can_pass:
            return (
                "Of a generator that has memorized nothing, a pass is possible at these sizes, but "
                f"not likely: {found} (at best {share(best.copy_rate_bound)} and "
                f"{best.unseen_patients}); {allowed}."
            )
        return (
            "No audit of these sizes can pass, whatever the generator: at best the copy rate is "
            f"bounded by {share(best.copy_rate_bound)}, and "
            f"{part(best.unseen_patients, self.sizes.training, 'training patient')} are not "
            f"excluded from being exposed; {allowed}."
        )

    def _needed(self) -> list[str]:
        best, sizes = self.best, self.sizes
        if best.likely_pass:
            return [
                f"About {many(best.validation_needed or 0, 'validation patient')} with as many "
                f"synthetic images, or about {many(best.synthetic_needed or 0, 'synthetic image')} "
                "with as many validation patients, would still make it likely."
            ]
        said, least = [], best.least
        for word, have, needed in (
            ("training patient", sizes.training, least.training),
            ("validation patient", sizes.validation, least.validation),
            ("synthetic image", sizes.synthetic, least.synthetic),
            ("planted copy", sizes.planted, least.planted),
        ):
            if have < needed or not needed:
                number = f"at least {many(needed, word)}" if needed else f"more than any {word}"
                said.append(f"{number} (here {have})")
        if said:
            return [f"A pass takes {', '.join(said)}."]
        ways = []
        if best.validation_needed:
            ways.append(many(best.validation_needed, "validation patient"))
        if best.synthetic_needed:
            ways.append(many(best.synthetic_needed, "synthetic image"))
        if not ways:
            return ["More validation patients and more synthetic images would make it likely."]
        return [f"About {' or '.join(ways)} would make it likely, the rest as it is."]

    def _planted(self) -> list[str]:
        best, sizes, asked = self.best, self.sizes, self.policy.min_sensitivity
        if not sizes.planted or not best.sensitivity_low:
            return []
        shown = "shows" if best.sensitivity_low >= asked else "does not show"
        return [
            f"If all {many(sizes.planted, 'planted copy')} are found, that {shown} the sensitivity "
            f"of {share(asked)} that the policy asks for (at least {share(best.sensitivity_low)})."
        ]

    def _named(self) -> str:
        copies, patients = self.best.copies, self.best.patients
        if copies.names_by != "ranks":
            return (
                "A single copy can be named, and a single exposed patient, if they lie far enough "
                "beyond the validation patients and these look like one tail; where they do not, "
                f"{_fewest(copies.by_ranks, 'copies', 'at least')} or "
                f"{_fewest(patients.by_ranks, 'exposed patients', 'at least')} can be suspected."
            )
        return (
            f"With {many(self.sizes.validation, 'validation patient')} names rest on ranks alone: "
            f"{_fewest(copies.by_ranks, 'copies', 'at least')} or "
            f"{_fewest(patients.by_ranks, 'exposed patients', 'at least')} can be suspected; from "
            "20 on a single one can be named."
        )

    def _counted(self) -> str:
        copies, patients = self.best.copies.counted, self.best.patients.counted
        return (
            "That there are any, without names, is known from about "
            f"{_fewest(copies, 'copies')} or {_fewest(patients, 'exposed patients')} on."
        )


def outlook(sizes: Sizes, policy: Policy, levels: Levels | None = None) -> Outlook:
    """Return what an audit of these sizes can show, by a policy."""
    levels = levels or Levels(policy.alpha, policy.fdr)
    limits = Limits(
        copy_rate=policy.max_copy_rate,
        unseen_patients=policy.max_unseen_patients,
        sensitivity=policy.min_sensitivity,
        confidence=policy.confidence,
        alpha=levels.alpha,
        fdr=levels.fdr,
    )
    return Outlook(sizes, policy, best_case(sizes, limits))


def _fewest(count: int | None, what: str, before: str = "") -> str:
    if count is None:
        return f"no number of {what}"
    return f"{before} {count} {what}".strip()
