"""What every stored record has in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

SCHEMA = 2
"""Version of the result files. An older one is read (`memtk.results.migrations`); a newer one is
refused, never half understood."""

Fraction = Annotated[float, Field(ge=0, le=1)]


class StoredRecord(BaseModel):
    """Base of all that is stored as JSON: frozen, and an unknown key is an error.

    A number that is not finite is written as the text "NaN" or "Infinity", for which JSON has no
    number, and read again as what it was.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")
