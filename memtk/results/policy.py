"""What a data holder tolerates: the figures that decide between pass and fail."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from memtk.config import build, load_toml
from memtk.errors import UserError
from memtk.results.record import StoredRecord


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
        description="largest tolerable share of training patients that are exposed",
    )
    max_unseen_patients: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="largest tolerable share of training patients that may be exposed without any "
        "being flagged, because too few could stand out; none: not asked",
    )
    confidence: float = Field(
        default=0.95, ge=0.5, lt=1, description="of every interval and bound that decides"
    )
    min_sensitivity: float = Field(
        default=0.8,
        ge=0,
        lt=1,
        description="share of the planted copies that must be found at the least, at the lower end "
        "of its interval",
    )


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
        others = f", not {', '.join(sorted(tree))}" if tree else ""
        raise UserError(
            f"{path}: a policy has one table, [policy]{others}; its keys are {', '.join(known)}"
        )
    try:
        return build(Policy, table, where="policy")
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
