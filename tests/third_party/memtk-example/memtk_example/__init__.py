"""Components of six kinds. This module is imported by each command: it imports no torch."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from memtk import Component, hookimpl
from memtk.events import Event


@hookimpl
def memtk_generators() -> Iterable[Component]:
    """Bring one generator."""
    yield Component(
        name="gaussian",
        target="memtk_example.gaussian:Gaussian",
        summary="Draws every voxel on its own from the training images' mean and spread.",
        cases="memtk_example.cases:CASES",
    )


@hookimpl
def memtk_embedders() -> Iterable[Component]:
    """Bring one embedder."""
    yield Component(
        name="thumbnail",
        target="memtk_example.thumbnail:Thumbnail",
        summary="The image itself at a few voxels a side; nothing is trained.",
        cases="memtk_example.cases:CASES",
    )


@hookimpl
def memtk_similarities() -> Iterable[Component]:
    """Bring one similarity."""
    yield Component(
        name="manhattan",
        target="memtk_example.manhattan:Manhattan",
        summary="Minus the mean absolute difference.",
        cases="memtk_example.cases:CASES",
    )


@hookimpl
def memtk_mitigations() -> Iterable[Component]:
    """Bring one mitigation."""
    yield Component(
        name="grain",
        target="memtk_example.grain:Grain",
        summary="Adds white noise to the training images.",
        cases="memtk_example.cases:CASES",
    )


@hookimpl
def memtk_readers() -> Iterable[Component]:
    """Bring one reader."""
    yield Component(
        name="pgm",
        target="memtk_example.pgm:PgmReader",
        summary="Plain portable grey maps (P2).",
        dims=frozenset({2}),
        cases="memtk_example.cases:CASES",
    )


@hookimpl
def memtk_report_sections() -> Iterable[Component]:
    """Bring one section of the report."""
    yield Component(
        name="colophon",
        target="memtk_example.colophon:Colophon",
        summary="Says that the example plugin was there.",
        cases="memtk_example.cases:CASES",
    )


@hookimpl
def memtk_run_event(event: Event) -> None:
    """Write the events of a run to the file that MEMTK_EXAMPLE_LOG names, one a line."""
    path = os.environ.get("MEMTK_EXAMPLE_LOG")
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{event.kind}\t{event.stage}\t{event.step}\n")
