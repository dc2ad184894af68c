"""The catalogue of hooks. A plugin implements any of them; all its results are merged.

A plugin is a module named by an entry point in the group `memtk`. It returns records and imports
nothing heavy: the classes behind the records are imported when somebody uses them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from memtk.component import Component
    from memtk.events import Event

hookspec = pluggy.HookspecMarker("memtk")
hookimpl = pluggy.HookimplMarker("memtk")


@hookspec
def memtk_generators() -> Iterable[Component]:
    """Models that make images: subclasses of `memtk.interfaces.Generator`."""
    raise AssertionError  # a specification is never called


@hookspec
def memtk_embedders() -> Iterable[Component]:
    """Networks that map an image to a vector: subclasses of `memtk.interfaces.Embedder`."""
    raise AssertionError


@hookspec
def memtk_similarities() -> Iterable[Component]:
    """Measures of likeness between two embeddings or images: `memtk.interfaces.Similarity`."""
    raise AssertionError


@hookspec
def memtk_mitigations() -> Iterable[Component]:
    """Ways to memorize less: subclasses of `memtk.interfaces.Mitigation`."""
    raise AssertionError


@hookspec
def memtk_readers() -> Iterable[Component]:
    """File formats: `memtk.interfaces.Reader`."""
    raise AssertionError


@hookspec
def memtk_quality_metrics() -> Iterable[Component]:
    """Quality and diversity of synthetic images: `memtk.interfaces.QualityMetric`."""
    raise AssertionError


@hookspec
def memtk_attacks() -> Iterable[Component]:
    """Membership attacks on a generator: `memtk.interfaces.Attack`."""
    raise AssertionError


@hookspec
def memtk_protocols() -> Iterable[Component]:
    """Measures of memorization, pure functions of similarities: `memtk.interfaces.Protocol`."""
    raise AssertionError


@hookspec
def memtk_report_sections() -> Iterable[Component]:
    """Sections of the HTML report of a bench or an audit: `memtk.interfaces.ReportSection`."""
    raise AssertionError


@hookspec
def memtk_run_event(event: Event) -> None:
    """Watch a run: called for every `memtk.events.Event`, in order."""
    raise AssertionError
