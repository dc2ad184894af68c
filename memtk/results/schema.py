"""The result of one cell: one generator, trained and evaluated. It names no path and no patient."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from memtk.errors import UserError
from memtk.results.migrations import SCHEMA
from memtk.results.privacy import Canaries, Membership, Privacy
from memtk.results.protocols import ByCondition, Evidence, MeasureRecord, Tables
from memtk.results.selftest import SelfTest
from memtk.results.store import AGAIN, FolderName, Seconds, StoredRecord, read_record, write_record


class MeasureInfo(StoredRecord):
    """What belongs to one number of `Checkpoint.quality`, under the same name.

    Args:
        real: what real images score in the place of the synthetic ones; None where there is no such
            line, or it is undefined.
        better: which values are good: "higher", "lower", or those near to `real`.
        against: what the synthetic images were compared with.
        extractor: the network whose features were compared; empty where the images were.
        note: what a reader must know of this number. Of a measure without a number: why.
    """

    real: float | None = None
    better: Literal["higher", "lower", "real"] = "real"
    against: str = ""
    extractor: str = ""
    note: str = ""


Losses = Mapping[str, list[tuple[Annotated[int, Field(ge=0)], dict[str, float]]]]
"""By phase, `(steps done, {term: value})`."""


class Suite(StoredRecord):
    """A versioned benchmark definition."""

    name: str
    version: str


class Used(StoredRecord):
    """A component that was used.

    Args:
        name: of the component.
        plugin: that brings it.
        distribution: the installed package of the plugin, and its `version`.
        config: its whole configuration.
    """

    name: str
    plugin: str
    distribution: str
    version: str
    config: dict[str, Any] = {}


class Components(StoredRecord):
    """All components of a cell; no embedder where the images themselves were compared.

    `extractor` is the network whose features the quality metrics compared, `None` without such
    metrics; it may be the embedder. `protocols` are those whose tables the checkpoints have; empty
    in files of schema 2.
    """

    generator: Used
    embedder: Used | None = None
    similarity: Used
    mitigations: list[Used] = []
    quality: list[Used] = []
    extractor: Used | None = None
    attacks: list[Used] = []
    protocols: list[Used] = []

    def used(self) -> list[tuple[str, Used]]:
        """Return every component with its kind."""
        return [
            (_KINDS.get(field, field), used)
            for field, value in self
            for used in (value if isinstance(value, list) else [value])
            if used is not None
        ]

    def changed(self, change: Callable[[str, Used], Used]) -> Components:
        """Return the same with every component as `change(kind, used)` has it."""
        made: dict[str, Any] = {}
        for field, value in self:
            kind = _KINDS.get(field, field)
            if isinstance(value, list):
                made[field] = [change(kind, used) for used in value]
            else:
                made[field] = value and change(kind, value)
        return self.model_copy(update=made)


_KINDS = {
    "mitigations": "mitigation",
    "attacks": "attack",
    "protocols": "protocol",
    "extractor": "embedder",
}
"""The kinds of components whose field in a result has another name."""


class Counts(StoredRecord):
    """The size of a set of images."""

    images: int = Field(ge=0)
    patients: int = Field(ge=0)


def _both_sides(counts: dict[str, Counts]) -> dict[str, Counts]:
    if not {"training", "validation"} <= counts.keys():
        raise ValueError("it counts no training or no validation images")
    if not (counts["training"].patients and counts["validation"].patients):
        raise ValueError("it counts no training or no validation patients")
    return counts


Splits = Annotated[dict[str, Counts], AfterValidator(_both_sides)]
"""Images and patients of training, validation and what else there is."""


class Spec(StoredRecord):
    """Shape of the images: spatial axes in voxels, channels, size of a voxel in millimetres."""

    shape: list[int]
    channels: int = Field(ge=1)
    spacing: list[float] = []


class Data(StoredRecord):
    """The images.

    Args:
        fingerprint: hash of their content and of what was done to them.
        source: a kind ("manifest", "folder", "phantom3d"), never a path.
        spec: their shape.
        recipe: what was done to the voxels.
        counts: images and patients of each split: training, validation, held_out.
    """

    fingerprint: FolderName
    source: str
    spec: Spec
    recipe: dict[str, Any] = {}
    counts: Splits


class Device(StoredRecord):
    """What it ran on, and the precision of each training phase."""

    name: str
    processes: int = Field(ge=1)
    precision: dict[str, str] = {}


class Reconstruction(StoredRecord):
    """How well the generator's own autoencoder gives images back: mean PSNR in dB.

    A training side far above the validation side says that the autoencoder is overfitted.
    """

    training_psnr: float
    validation_psnr: float


class EmbedderTrainedOn(StoredRecord):
    """The images that the embedder of each side was trained on: "training" or "synthetic".

    "given": the embeddings were brought along, and taken as unseen by both sides; "none": the
    exposure was not asked for.
    """

    copies: str
    exposure: str


class SettingChange(StoredRecord):
    """A setting of the generator that a mitigation changed."""

    key: str
    before: Any
    after: Any


class MitigationEffect(StoredRecord):
    """What a mitigation did, in facts; reports make a sentence of them.

    Args:
        mitigation: its name; several names where it is of all of them together.
        did: "settings": changed the generator's; "patients": chose among the training images by
            patient, "thinned" by how they look; "augmented": changed them at each step; "private":
            trained under the guarantee that is the result's `privacy`; "taught": chose what a first
            generator teaches; "checkpoint": took one; "released": held synthetic images back
            unseen, "screened" by what was found in them; "nothing left": of these, so that the
            verdict is on all; "reevaluated": what was chosen by a score. Empty in older files.
        kept: images that it left, where it chose among any.
        of: how many there were.
        kept_patients: whose images these are, and `of_patients` of how many.
        changes: of settings.
        variants: changed versions of each image that a phase with a frozen encoder draws from, as
            far as the phases differ.
        step: of the checkpoint that was taken, and `of_steps` those of all.
        fresh_samples: whether new ones were drawn to evaluate.
        second_embedder: whether another one was trained for it.
        why: the mitigation's own reason. It names no file and no patient.
        text: the sentence that an older memtk wrote in place of facts.
    """

    mitigation: str
    did: Literal[
        "",
        "settings",
        "patients",
        "thinned",
        "augmented",
        "private",
        "taught",
        "checkpoint",
        "released",
        "screened",
        "nothing left",
        "reevaluated",
    ] = ""
    kept: int | None = Field(default=None, ge=0)
    of: int | None = Field(default=None, ge=0)
    kept_patients: int | None = Field(default=None, ge=0)
    of_patients: int | None = Field(default=None, ge=0)
    changes: list[SettingChange] = []
    variants: list[int] = []
    step: int | None = Field(default=None, ge=0)
    of_steps: list[int] = []
    fresh_samples: bool | None = None
    second_embedder: bool | None = None
    why: str = ""
    text: str = ""


class Checkpoint(StoredRecord):
    """What was found at one checkpoint.

    Args:
        step: of the generator's last phase.
        n_synthetic: M.
        evidence: what the verdict rests on.
        protocols: what each protocol measured, by its name.
        quality: quality and diversity of the synthetic images by measure. The name of one of
            features has the extractor's in brackets: "fid[medicalnet3d]".
        measure_info: by the same names, what belongs to each number.
        by_condition: the same for each group that the generator was told apart; of the last
            checkpoint, and of what was chosen, alone.
        identical_images: synthetic images whose voxels are those of a training image.
        reevaluated: it was chosen, or its images were, by the numbers of an earlier evaluation;
            these are of a new one, by a second embedder and, after the choice of a checkpoint, with
            fresh samples.
    """

    step: int = Field(ge=0)
    n_synthetic: int = Field(ge=1)
    evidence: Evidence
    protocols: Tables = {}
    quality: dict[str, float] = {}
    measure_info: dict[str, MeasureInfo] = {}
    by_condition: list[ByCondition] = []
    identical_images: int = Field(default=0, ge=0)
    reevaluated: bool = False

    @property
    def label(self) -> str:
        """Names its arrays in `arrays.h5` and the file of its images."""
        return "chosen" if self.reevaluated else f"step-{self.step:06d}"

    def measure(self, protocol: str, key: str) -> MeasureRecord | None:
        """Return a measure of a protocol; None where it is not there."""
        return self.protocols.get(protocol, {}).get(key)


class Result(StoredRecord):
    """One cell of a bench, with all that it takes to repeat it.

    Args:
        schema_version: of this file.
        memtk_version: that wrote it.
        cell: its name, unique within the run.
        suite: None for a user's own data.
        request: tables "bench", "data" and "settings" of the recipe, for this cell alone: with
            `suite` and the configurations of `components` all that it takes to repeat it. What
            could name a place is hidden. None in files of schema 1.
        preset: of the components.
        components: with package, version and configuration.
        data: the images.
        used_training: the training images that the generator saw, after mitigations: N.
        canaries: patients of whom coins held some back; None without any.
        seed: of the run.
        versions: of python and packages.
        device: what it ran on.
        timing: seconds by stage.
        training: losses by model ("generator", "embedder"), phase and term.
        reconstruction: None for a generator without an autoencoder.
        embedder_trained_on: None without an embedder.
        extractor_trained_on: images that the extractor was trained on: "training", or "given" if it
            came trained; None without one.
        checkpoints: in the order of their steps, as the copy detector found them.
        chosen: what mitigations that choose by a score have left, evaluated anew: the verdict
            is about this. None without such mitigations: it is about the last checkpoint.
        mitigation_effects: what the mitigations did.
        training_stages: names in `timing` of the trainings that the generator took: its own, and
            that of a first generator that it learned from. Empty in older files.
        membership: what each membership attack made of the last checkpoint, by its name.
        privacy: the guarantee that the generator was trained under; None without one.
        selftest: how well copies are found, measured with copies made for it; None if it was not
            run.
        complete: False while checkpoints are missing.
    """

    schema_version: int = SCHEMA
    memtk_version: str
    cell: FolderName
    suite: Suite | None = None
    request: dict[str, dict[str, Any]] | None = None
    preset: str
    components: Components
    data: Data
    used_training: Counts
    canaries: Canaries | None = None
    seed: int
    versions: dict[str, str]
    device: Device
    timing: dict[str, Seconds] = {}
    training: dict[str, Losses] = {}
    reconstruction: Reconstruction | None = None
    embedder_trained_on: EmbedderTrainedOn | None = None
    extractor_trained_on: str | None = None
    checkpoints: list[Checkpoint] = Field(min_length=1, max_length=1000)
    chosen: Checkpoint | None = None
    mitigation_effects: list[MitigationEffect] = []
    training_stages: list[str] = []
    membership: dict[str, Membership] = {}
    privacy: Privacy | None = None
    selftest: SelfTest | None = None
    complete: bool = True

    @property
    def last(self) -> Checkpoint:
        """What the verdict is about: the chosen checkpoint evaluated anew, or the last one."""
        return self.chosen or self.checkpoints[-1]

    @property
    def training_seconds(self) -> float | None:
        """How long the generator was trained, with a first one that it learned from."""
        known = [self.timing[name] for name in self.training_stages if name in self.timing]
        return sum(known) if known else None

    @property
    def evaluated(self) -> list[Checkpoint]:
        """All that was evaluated: every checkpoint, and the chosen one anew."""
        return [*self.checkpoints, *([self.chosen] if self.chosen else [])]


def write_result(path: Path, result: Result) -> None:
    """Write the result of a cell, whole or not at all."""
    write_record(path, result)


def read_result(path: Path, way_out: str = AGAIN) -> Result:
    """Read the result of a cell; see `read_record` for what it raises."""
    result = read_record(path, Result, way_out)
    seen = result.used_training
    for each in result.evaluated:
        for told in each.evidence.beyond(seen.images, seen.patients, each.n_synthetic):
            raise UserError(f"{path} does not fit: {told}: {way_out}")
    return result


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write what was found at one checkpoint, whole or not at all."""
    write_record(path, checkpoint)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read what was found at one checkpoint; see `read_record` for what it raises."""
    return read_record(path, Checkpoint)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a result file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Result.model_json_schema(),
    }
