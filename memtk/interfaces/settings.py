"""How a component is configured (frozen pydantic models), a phase, and a private training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

COUNTS_STEPS: dict[str, Any] = {"counts_steps": True}
"""`json_schema_extra` of a setting that is a number of steps of a phase: studies at equal epochs
scale it with the phase."""


class ComponentConfig(BaseModel):
    """Base of every `Config`. Frozen; an unknown key is an error, never ignored, and
    defaults are looked at as what is set is.

    In the place of a tuple of words a word stands for a tuple of one, and None for an empty one.
    Numbers are finite, and whole ones have up to 63 bits: records and arrays hold no others; true
    and false are no numbers.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def _a_word_is_a_tuple(cls, value: Any, info: ValidationInfo) -> Any:
        if cls.model_fields[info.field_name or ""].annotation != tuple[str, ...]:
            return value
        return () if value is None else (value,) if isinstance(value, str) else value

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_are_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        several = value if isinstance(value, list | tuple) else [value]
        kind = cls.model_fields[info.field_name or ""].annotation
        if "bool" not in str(kind) and any(isinstance(each, bool) for each in several):
            raise ValueError("a number or a text is needed, neither true nor false")
        if any(isinstance(each, int) and abs(each) >= 2**63 for each in several):
            raise ValueError("whole numbers of up to 63 bits are taken")
        return value


class PhaseSettings(ComponentConfig):
    """How long and how one phase is trained. Every field can be set from the command line."""

    steps: int = Field(1000, ge=0, le=10**9, description="optimiser steps")
    batch_size: int = Field(
        16, ge=1, le=100_000, description="images a step, over all processes together"
    )
    accumulate: int = Field(1, ge=1, description="micro-batches that one step is split into")
    crop: tuple[PositiveInt, ...] = Field(
        (),
        description="of the autoencoder of a latent diffusion model: sides, in voxels, of the "
        "random block of each image that a step trains on; empty: whole images",
    )
    clip_norm: float | None = Field(1.0, gt=0, description="largest gradient norm; none: no clip")
    weight_decay: float = Field(
        0.0, ge=0, description="decay of the weights, apart from the gradient (AdamW); 0: Adam"
    )
    schedule: Literal["constant", "cosine", "one-cycle", "milestones"] = Field(
        "constant", description="course of the learning rate over the steps"
    )
    milestones: tuple[int, ...] = Field(
        (), description="schedule milestones: when the rate is multiplied with gamma, ascending"
    )
    milestone_unit: Literal["epochs", "steps"] = Field(
        "epochs", description="what milestones count; an epoch is N / batch_size steps, rounded up"
    )
    gamma: float = Field(0.1, gt=0, le=1, description="schedule milestones: the factor of each")
    floor: float = Field(
        0.0, ge=0, lt=1, description="schedule cosine: the part of the rate that it falls to"
    )
    ema_decay: float = Field(
        0.0, ge=0, lt=1, description="decay of the average of the first turn's weights; 0: off"
    )
    ema_every: int = Field(1, ge=1, description="steps between two updates of the average")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto: bfloat16 where the device is faster in it"
    )
    variants: int = Field(
        8,
        ge=1,
        description="augmented variants encoded of each image, in a phase with a frozen encoder",
    )
    recompute: bool = Field(
        False,
        description="keep less for the backward pass and compute the model's blocks again in it "
        "(gradient checkpointing): less memory, more time, the same numbers",
    )
    compile: Literal["off", "inductor", "aot_eager", "eager"] = Field(
        "off",
        description="torch.compile of the model's blocks, by this backend; the first steps take "
        "up to a minute (aot_eager and eager are for finding errors)",
    )
    prefetch: int = Field(
        2, ge=0, description="batches that a thread reads while a step is computed; 0: none"
    )

    enough: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of planted copies seen, twice in a row, at which the training of a copy "
        "detector ends before its last step (looked for every 25 steps, after half of them); "
        "0: all steps are taken",
    )

    @field_validator("milestones")
    @classmethod
    def _ascend(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if list(value) != sorted(set(value)) or any(v < 1 for v in value):
            raise ValueError("milestones ascend and are 1 at least")
        return value

    @model_validator(mode="after")
    def _has_milestones(self) -> PhaseSettings:
        if self.schedule == "milestones" and not self.milestones:
            raise ValueError("schedule = milestones needs milestones, as in milestones=100,1000")
        return self

    @model_serializer(mode="wrap")
    def _leave_out_what_is_off(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Record a setting that older versions lack only where it is used: else nothing differs."""
        written: dict[str, Any] = handler(self)
        return {key: value for key, value in written.items() if value or key not in NEWER}


NEWER = ("crop", "enough")
"""Settings of a phase that the first versions of result files do not have."""

WITHOUT_EFFECT = ("accumulate", "recompute", "compile", "prefetch")
"""Settings of a phase that change speed and memory, but no number beyond its rounding."""


@dataclass(frozen=True)
class Private:
    """Settings of DP-SGD (Abadi et al., arXiv 1607.00133), which the core trains with.

    Args:
        epsilon: of the whole training; the noise follows from it. None where the noise is given.
        noise_multiplier: spread of the noise of a step in units of `max_grad_norm`. None where
            epsilon is given.
        delta: None for a tenth of 1 / units.
        max_grad_norm: to which the gradient of each unit is clipped.
        unit: whose data are protected as a whole: all images of a patient, or a single image.
        accountant: of opacus: "rdp" or the tighter "prv".
        secret: draw sampling and noise from the operating system's randomness. False: from the
            run's seed, so that the numbers can be repeated, by others too.
    """

    epsilon: float | None = 8.0
    noise_multiplier: float | None = None
    delta: float | None = None
    max_grad_norm: float = 1.0
    unit: Literal["patient", "image"] = "patient"
    accountant: Literal["rdp", "prv"] = "rdp"
    secret: bool = True
