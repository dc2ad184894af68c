"""The record that names a component without importing it."""

from __future__ import annotations

import re
from dataclasses import dataclass

API = 1
"""Version of the plugin interface. A component made for another one is refused by name."""

KINDS = {
    "generator": "memtk_generators",
    "embedder": "memtk_embedders",
    "similarity": "memtk_similarities",
    "mitigation": "memtk_mitigations",
    "reader": "memtk_readers",
    "quality": "memtk_quality_metrics",
    "attack": "memtk_attacks",
    "protocol": "memtk_protocols",
    "report": "memtk_report_sections",
}
"""Each kind of component, and the hook through which plugins bring it."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class Component:
    """One generator, embedder, similarity, ... of a plugin, by name.

    Args:
        name: what a user types: lower case letters, digits and hyphens.
        target: `"package.module:Class"`; imported on first use, never earlier.
        summary: one sentence for `memtk list`.
        dims: the numbers of spatial axes it works on.
        needs: top-level modules that the target imports beyond memtk's own requirements.
        install: the command that brings what is missing of `needs`.
        api: the version of the plugin interface that it was written for.
        cases: `"package.module:CASES"`, where its cases for `memtk plugins test` are: needed of
            what cannot be made without settings or an example file.

    Raises:
        ValueError: if the name or the target is malformed.

    >>> Component("monai3d", "memtk_monai.latent_diffusion:LatentDiffusion", "A model.").dims
    frozenset({2, 3})
    """

    name: str
    target: str
    summary: str
    dims: frozenset[int] = frozenset({2, 3})
    needs: tuple[str, ...] = ()
    install: str = ""
    api: int = API
    cases: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"component name {self.name!r}: use lower case letters, digits and hyphens"
            )
        if not _TARGET.fullmatch(self.target):
            raise ValueError(f"target {self.target!r} of {self.name!r}: expected 'module:Class'")
        if self.cases and not _TARGET.fullmatch(self.cases):
            raise ValueError(f"cases {self.cases!r} of {self.name!r}: expected 'module:CASES'")
