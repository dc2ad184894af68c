"""The settings of a network that comes trained: its file, and a hash of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, model_validator

from memtk.errors import UserError
from memtk.files import file_digest
from memtk.interfaces import ComponentConfig


class PretrainedConfig(ComponentConfig):
    """Which file has the weights. Memtk downloads none.

    Class attributes:
        component: its name.
        fetch: what to fetch from where, in one line.
    """

    component: ClassVar[str]
    fetch: ClassVar[str]

    weights: str = Field(..., min_length=1, description="file of the published weights")
    digest: str = Field("", description="hash of that file; memtk fills it in")

    @model_validator(mode="before")
    @classmethod
    def _look_at_the_file(cls, values: Any) -> Any:
        """Let a run know its weights again, so that it is not gone on with on other ones."""
        if not isinstance(values, dict):
            return values
        given, way = values.get("weights"), f"--set {cls.component}.weights=FILE"
        if given is None:
            raise UserError(
                f"{cls.component} comes trained, and its weights are not a part of memtk.\n"
                f"Fetch {cls.fetch}\nand say {way}"
            )
        if not isinstance(given, str) or not given:
            return values  # its own message
        found = _digest(Path(given).expanduser(), cls.component, cls.fetch)
        if values.get("digest") not in (None, "", found):
            raise UserError(f"{given}: these are not the weights they were")
        return {**values, "digest": found}


def _digest(path: Path, component: str, fetch: str) -> str:
    try:
        return file_digest(path)[:32]
    except UserError as error:
        way = "" if path.exists() else f".\nFetch {fetch}"
        raise UserError(f"{component}.weights: {error}{way}") from error
