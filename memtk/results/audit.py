"""The result of an audit, and the policy that decides: may these synthetic images be released?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from memtk.config import build, load_toml
from memtk.errors import UserError
from memtk.results.migrations import SCHEMA
from memtk.results.protocols import ByCondition, Evidence, Tables
from memtk.results.schema import (
    Data,
    Device,
    EmbedderTrainedOn,
    Losses,
    MeasureInfo,
    Splits,
    Used,
)
from memtk.results.selftest import SelfTest
from memtk.results.store import Seconds, StoredRecord, read_record, write_record

LEVELS = ("alpha", "fdr", "seed", "plants", "stratify")
"""Keys of a policy that are settings of the audit too: what could be tuned until it passes."""


class Policy(StoredRecord):
    """What is tolerable, and how sure one must be. Table `[policy]` of a TOML file."""

    max_copy_rate: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="largest tolerable share of synthetic images that are copies",
    )
    max_exposed_patients: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="largest tolerable share of training patients that are shown to be exposed: a "
        "lower end above it fails",
    )
    max_unseen_patients: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="largest tolerable share of training patients that are not excluded from being "
        "exposed: an upper end above it cannot pass",
    )
    confidence: float = Field(
        default=0.95, gt=0.5, lt=1, description="of every interval and bound that decides"
    )
    min_sensitivity: float = Field(
        default=0.8,
        ge=0,
        lt=1,
        description="share of the planted copies that must be found at the least, at the lower end "
        "of its interval",
    )
    alpha: float = Field(default=0.05, ge=1e-9, lt=1, description="level of a test of one image")
    fdr: float = Field(default=0.1, ge=1e-9, lt=1, description="false discovery rate of suspects")
    seed: int = Field(default=0, ge=0, description="all randomness follows from it")
    plants: int = Field(default=100, ge=0, description="training patients whose images are planted")
    stratify: str | None = Field(
        default=None, description="column of the manifest within which images are compared"
    )

    @property
    def levels(self) -> dict[str, Any]:
        """The settings of the audit that were fixed here."""
        return {key: getattr(self, key) for key in LEVELS if key in self.model_fields_set}

    @property
    def is_default(self) -> bool:
        """Whether what is tolerable is as it is by default; settings of the audit aside."""
        return self.model_dump(exclude={*LEVELS}) == Policy().model_dump(exclude={*LEVELS})

    def settled(self, used: Mapping[str, Any]) -> Policy:
        """Return the policy with the settings that an audit uses.

        Args:
            used: some of `LEVELS`.

        Raises:
            UserError: if another value was fixed here.
        """
        for key, value in used.items():
            if self.levels.get(key, value) != value:
                raise UserError(
                    f"the policy says {key} = {self.levels[key]} and the audit {value}: the "
                    "policy fixes it before anything is computed. Leave it out of one of them."
                )
        return Policy.model_validate(self.model_dump(exclude_unset=True) | dict(used))

    @field_validator("max_unseen_patients", mode="before")
    @classmethod
    def _unasked(cls, value: Any) -> Any:
        """Read None, which asked for nothing in files of older versions, as 1."""
        return 1.0 if value is None else value


def read_policy(path: Path | None) -> Policy:
    """Read the table `[policy]` of a TOML file; None gives the defaults.

    Raises:
        UserError: if the file is missing or malformed, has no such table, or a key is unknown (with
            the nearest known one) or out of range.
    """
    if path is None:
        return Policy()
    tree = load_toml(path)
    table: Any = tree.pop("policy", None)
    known = sorted(Policy.model_fields)
    if set(tree) & set(known):
        raise UserError(f"{path}: put {', '.join(sorted(tree))} below a line [policy]")
    if not isinstance(table, Mapping) or tree:
        others = f", not {', '.join(sorted(tree))[:200]}" if tree else ""
        raise UserError(
            f"{path}: a policy has one table, [policy]{others}; its keys are {', '.join(known)}"
        )
    try:
        return build(Policy, table, where="policy")
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


class AuditVerdict(StoredRecord):
    """What the policy says of the numbers.

    Args:
        outcome: "pass", "fail", or "inconclusive" where the numbers can show neither.
        reasons: why, one sentence each, with figures.
    """

    outcome: Literal["pass", "fail", "inconclusive"]
    reasons: list[str] = Field(min_length=1)


Screened = Literal["same design", "another design"]


class FirstVerdict(StoredRecord):
    """What the policy said that was given before the results were known.

    Args:
        outcome: by that policy.
        policy: itself.
    """

    outcome: Literal["pass", "fail", "inconclusive"]
    policy: Policy


class Audit(StoredRecord):
    """One audit, with all that it takes to repeat it. It names no path and no patient.

    Args:
        schema_version: of this file.
        memtk_version: that wrote it.
        verdict: by the policy.
        policy: that was applied.
        first_verdict: by the policy that came first, where another was applied afterwards.
        evidence: what the verdict rests on.
        protocols: what each protocol measured, by its name.
        applied: the protocols that did, with package and version; empty in files of schema 2.
        selftest: how well copies are found; None if it was not run.
        screened: of an audit of what a first one left: the design of the second detector beside
            the first one's.
        quality: quality and diversity of the synthetic images by measure, with the embedder's name
            in brackets where it made the features that are compared.
        measure_info: what belongs to these numbers, by the same names.
        by_condition: what was found in each group of images by what they were to be, where this was
            asked for.
        identical_images: synthetic images whose voxels are those of a training image.
        counts: images and patients of training, validation, synthetic and, if there, held_out.
            Synthetic images have no patients: each counts as one.
        similarity: how two images are compared.
        metrics: quality metrics that were asked for.
        embedder: None where embeddings were given or the images themselves were compared.
        embedder_trained_on: what its training images were on each side; None without an embedder.
        training: losses of the embedder of each side that was trained, "copies" and "exposure", by
            phase and term; "seen" is the share of planted copies that it saw by then.
        data: the images; None where embeddings were given.
        seed: of the audit.
        versions: of python and packages.
        device: what it ran on.
        timing: seconds by stage.
        notes: sentences that bound what the numbers show.
    """

    schema_version: int = SCHEMA
    memtk_version: str
    verdict: AuditVerdict
    policy: Policy
    first_verdict: FirstVerdict | None = None
    evidence: Evidence
    protocols: Tables = {}
    applied: list[Used] = []
    selftest: SelfTest | None = None
    screened: Screened | None = None
    quality: dict[str, float] = {}
    measure_info: dict[str, MeasureInfo] = {}
    by_condition: list[ByCondition] = []
    identical_images: int = Field(0, ge=0)
    counts: Splits
    similarity: Used
    metrics: list[Used] = []
    embedder: Used | None = None
    embedder_trained_on: EmbedderTrainedOn | None = None
    training: dict[str, Losses] = {}
    data: Data | None = None
    seed: int
    versions: dict[str, str]
    device: Device
    timing: dict[str, Seconds] = {}
    notes: list[str] = []

    @model_validator(mode="after")
    def _within_the_sizes(self) -> Self:
        seen, made = self.counts["training"], self.counts.get("synthetic")
        if made is None:
            raise ValueError("it counts no synthetic images")
        for told in self.evidence.beyond(seen.images, seen.patients, made.images):
            raise ValueError(told)
        return self


def write_audit(path: Path, audit: Audit) -> None:
    """Write an audit, whole or not at all.

    Raises:
        UserError: if the file cannot be written, naming it.
    """
    write_record(path, audit)


def read_audit(path: Path) -> Audit:
    """Read `audit.json`; see `read_record` for what it raises."""
    return read_record(path, Audit)


def audit_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of an audit file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Audit.model_json_schema(),
    }
