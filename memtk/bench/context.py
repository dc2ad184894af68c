"""What every stage of a run needs at hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memtk.bench.clock import Clock
from memtk.components import ConfiguredComponent
from memtk.data.prepare import Dataset
from memtk.events import Watch
from memtk.interfaces import ImageSpec, Similarity
from memtk.memorization import Search, Source, search
from memtk.noise import derive, seeded
from memtk.training.devices import Devices


@dataclass(frozen=True)
class Context:
    """The data of a run, and where, how and on what it is run.

    Args:
        root: the run's seed.
        batch_size: images sampled or embedded at a time.
    """

    dataset: Dataset
    devices: Devices
    folder: Path
    clock: Clock
    watch: Watch
    root: int
    batch_size: int

    def seed(self, *keys: object) -> int:
        """Return the seed of one part of the run."""
        return derive(self.root, *keys)

    def search(
        self,
        queries: Source,
        references: Source,
        similarity: Similarity,
        *,
        names: tuple[str, str],
    ) -> Search:
        """Find nearest neighbours both ways on the run's devices; see `memtk.memorization`."""
        return search(
            queries,
            references,
            similarity,
            device=self.devices.device,
            rank=self.devices.rank,
            world=self.devices.world,
            gather=self.devices.collect,
            names=names,
        )

    def make(self, part: ConfiguredComponent, spec: ImageSpec, name: str) -> Any:
        """Construct a model whose first weights depend on the run's seed and `name` alone."""
        with seeded(self.seed("weights", name)):
            return part.make(spec)
