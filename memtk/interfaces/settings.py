"""How a component is configured: frozen pydantic models, and the settings of a phase."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class ComponentConfig(BaseModel):
    """Base of every `Config`. Frozen; an unknown key is an error, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PhaseSettings(ComponentConfig):
    """How long and how one phase is trained. Every field can be set from the command line."""

    steps: int = Field(1000, ge=0, description="optimiser steps")
    batch_size: int = Field(16, ge=1, description="images a step, over all processes together")
    accumulate: int = Field(1, ge=1, description="micro-batches that one step is split into")
    clip_norm: float | None = Field(1.0, gt=0, description="largest gradient norm; none: no clip")
    schedule: Literal["constant", "cosine", "one-cycle"] = Field(
        "constant", description="course of the learning rate over the steps"
    )
    ema_decay: float = Field(
        0.0, ge=0, lt=1, description="decay of the average of the first turn's weights; 0: off"
    )
    ema_every: int = Field(1, ge=1, description="steps between two updates of the average")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto: bfloat16 where the device computes it natively"
    )
    variants: int = Field(
        8,
        ge=1,
        description="augmented variants encoded of each image, in a phase with a frozen encoder",
    )
