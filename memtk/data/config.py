"""Which images a run reads, and what is done to them."""

from __future__ import annotations

import math
import re
from typing import Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from memtk.data.public.catalogue import PREFIX
from memtk.errors import many
from memtk.imaging.geometry import LEAST, MOST_VOXELS, too_small
from memtk.interfaces import ComponentConfig

MOST_PATIENTS = 1_000_000
"""Of a split of phantoms: their numbers do not overlap up to here."""

PHANTOMS = {"phantom2d": 2, "phantom3d": 3}
"""Sources that are made rather than read, and their number of spatial axes."""


CONDITION_KINDS = ("words", "numbers")
"""What may stand behind the name of a condition's column, as in `age:numbers`."""

ARRAY = "array:"
"""What the source of images begins with that are in memory: see `memtk.data.arrays`."""


def is_name(source: str) -> bool:
    """Tell whether a source is named (a phantom, a public set, an array) rather than a path."""
    return source in PHANTOMS or source.startswith((PREFIX, ARRAY))


class LimitConfig(ComponentConfig):
    """How much of the images in files is used; the rest is left alone.

    Patients are drawn by a hash of `data.split_seed` and their identifier, so that the same ones
    are drawn whatever the order of the files, and a smaller number draws some of a larger one's.
    """

    training: int | None = Field(None, ge=1, description="training patients; none: all")
    validation: int | None = Field(None, ge=1, description="validation patients; none: all")
    held_out: int | None = Field(None, ge=1, description="held-out patients; none: all")
    images_per_patient: int | None = Field(
        None, ge=1, description="images of each patient, the first by name; none: all"
    )


class PhantomConfig(ComponentConfig):
    """How many phantoms are made."""

    training: int = Field(64, ge=0, le=MOST_PATIENTS, description="training patients")
    validation: int = Field(64, ge=0, le=MOST_PATIENTS, description="validation patients")
    held_out: int = Field(
        0, ge=0, le=MOST_PATIENTS, description="patients that nobody trains on or calibrates with"
    )
    images_per_patient: int = Field(1, ge=1, le=1000, description="images of each patient")
    size: int = Field(32, ge=8, le=512, description="voxels along each axis")
    seed: int = Field(0, ge=0, description="of the patients' anatomies")


class DataConfig(ComponentConfig):
    """The images of a run. Nothing is turned, resampled, cropped or padded unless it is asked."""

    source: str = Field(
        ...,
        min_length=1,
        description="manifest CSV, folder, .npz, .h5, phantom2d, phantom3d, or public:NAME as in "
        "memtk data list",
    )
    validation_source: str | None = Field(
        None,
        min_length=1,
        description="manifest, folder or file of the validation images, of patients whom the "
        "generator has not seen; then source gives the training images alone. none: source gives "
        "both",
    )
    held_out_source: str | None = Field(
        None,
        min_length=1,
        description="manifest, folder or file of images of further patients, whom nobody trains "
        "on or calibrates with; none: source may give them",
    )
    synthetic_source: str | None = Field(
        None,
        min_length=1,
        description="manifest, folder or file of the synthetic images; those that it marks "
        "synthetic, else all. Whose they are is not asked. none: no such images",
    )
    shape: tuple[int, ...] | None = Field(
        None, description="crop or pad about the centre to this many voxels; none: as stored"
    )
    spacing: tuple[float, ...] | None = Field(
        None, description="resample to this voxel size in mm; none: as stored"
    )
    anti_aliasing: bool = Field(
        False,
        description="blur before resampling to larger voxels, so that fine texture does not "
        "become noise",
    )
    orientation: Literal["keep", "ras"] = Field(
        "keep", description="ras: turn volumes to right, anterior, superior"
    )
    percentiles: tuple[float, float] = Field(
        (0.5, 99.5), description="percentiles of each image that become -1 and 1"
    )
    color: Literal["refuse", "gray"] = Field("refuse", description="gray: make colour images gray")
    labels: Literal["leave_out", "by_name", "keep"] = Field(
        "leave_out",
        description="label maps and masks: left out by name, refused by their values; by_name: "
        "what only has such values is an image; keep: what is named so is one too",
    )
    patient_pattern: str | None = Field(
        None,
        max_length=1000,
        description="regular expression whose one group is the patient, searched in the file's "
        "name, or in its path below the folder if the expression has a slash",
    )
    stratify: str | None = Field(
        None,
        min_length=1,
        description="column of the manifest, such as site or scanner, that tells groups of "
        "patients apart, who are then compared within their group; none: all with all",
    )
    condition: tuple[str, ...] = Field(
        (),
        description="columns of the manifest that conditional generators are told, such as view or "
        "age, and audits report by; :words or :numbers behind a name says what it holds, where the "
        "values don't",
    )
    validation: float = Field(
        0.2, ge=0, lt=1, description="share of the patients, where the data say no split"
    )
    held_out: float = Field(
        0.0, ge=0, lt=1, description="share of the patients held out, where the data say no split"
    )
    split_seed: int = Field(0, ge=0, description="of that split")
    resplit: bool = Field(False, description="split all patients anew, whatever split the data say")
    limit: LimitConfig = Field(default_factory=lambda: LimitConfig.model_validate({}))
    phantom: PhantomConfig = Field(default_factory=lambda: PhantomConfig.model_validate({}))

    @field_validator("shape")
    @classmethod
    def _shape_is_positive(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if value is not None and (len(value) not in (2, 3) or min(value) < 2):
            raise ValueError(
                "two or three positive numbers of voxels are needed, from 2 on, e.g. 32,48,32"
            )
        if value is not None and too_small(value):
            raise ValueError(
                f"an image shows too little below {LEAST} x {LEAST} voxels to be told from others: "
                f"two axes at least need {LEAST}, e.g. 32,32"
            )
        if value is not None and math.prod(value) > MOST_VOXELS:
            raise ValueError(f"an image of more than {MOST_VOXELS:,} voxels is not taken")
        return value

    @field_validator("spacing")
    @classmethod
    def _spacing_is_positive(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if value is not None and (
            len(value) not in (2, 3) or not all(1e-4 <= size <= 1e4 for size in value)
        ):
            raise ValueError(
                "two or three positive sizes in mm are needed, 0.0001 to 10,000, e.g. 1,1,1"
            )
        return value

    @field_validator("percentiles")
    @classmethod
    def _percentiles_ascend(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= value[0] < value[1] <= 100:
            raise ValueError("two ascending numbers from 0 to 100 are needed, e.g. 0.5,99.5")
        return value

    @field_validator("patient_pattern")
    @classmethod
    def _pattern_has_one_group(cls, value: str | None) -> str | None:
        if value is None:
            return value
        try:
            groups = re.compile(value).groups
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"it is not a regular expression: {error}") from error
        if groups != 1:
            raise ValueError(
                f"it has {many(groups, 'group')} in parentheses; one is needed, the patient, "
                "as in (\\d+)_"
            )
        return value

    @field_validator("stratify")
    @classmethod
    def _column_is_a_further_one(cls, value: str | None) -> str | None:
        name = value.strip().lower() if value else value
        if name in {"", "path", "item", "patient_id", "split"}:
            raise ValueError(
                "a further column of the manifest is needed, which groups patients: site, scanner"
            )
        return name

    @field_validator("condition", mode="before")
    @classmethod
    def _one_column_is_a_list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("condition")
    @classmethod
    def _conditions_are_further_columns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        found = []
        for each in value:
            name, _, kind = each.strip().lower().partition(":")
            known = kind in {"", *CONDITION_KINDS}
            if name in {"", "path", "item", "patient_id", "split"} or not known:
                raise ValueError(
                    f"{each!r}: a further column of the manifest is needed, and behind it nothing, "
                    ":words or :numbers"
                )
            found.append(f"{name}:{kind}" if kind else name)
        if len({each.partition(":")[0] for each in found}) < len(found):
            raise ValueError("a column is named twice")
        return tuple(found)

    @model_serializer(mode="wrap")
    def _without_columns_as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave the keys out where they say nothing: older runs keep their identity."""
        found: dict[str, Any] = dump(self)
        return {k: v for k, v in found.items() if v or k not in {"stratify", "condition"}}

    @model_validator(mode="after")
    def _some_are_left_to_train(self) -> DataConfig:
        if self.validation + self.held_out >= 1:
            raise ValueError("validation and held_out together leave no patients for training")
        return self

    @property
    def is_phantom(self) -> bool:
        """Whether the images are made rather than read."""
        return self.source in PHANTOMS

    def sources_beside(self) -> dict[str, str]:
        """Return the sources that are given beside `source`, by the group that each fills."""
        given = {
            "validation": self.validation_source,
            "held_out": self.held_out_source,
            "synthetic": self.synthetic_source,
        }
        return {group: source for group, source in given.items() if source is not None}

    def sources(self) -> tuple[str, ...]:
        """Return all sources that are given."""
        return (self.source, *self.sources_beside().values())
