"""Results of a run: what they are, and how they lie on the disk. Nothing here imports torch."""

from memtk.results.arrays import has_arrays, read_arrays, write_arrays
from memtk.results.protocols import Conformal, Dar, DarMatched, Protocols
from memtk.results.run import Run, RunFile, read_run, read_run_file, write_run_file
from memtk.results.schema import (
    Checkpoint,
    Components,
    Counts,
    Data,
    Device,
    EmbedderSaw,
    Reconstruction,
    Result,
    Spec,
    Suite,
    Used,
    json_schema,
)
from memtk.results.store import read_checkpoint, read_result, write_checkpoint, write_result
from memtk.results.summary import headline, percent
from memtk.results.verdict import Verdict, verdict

__all__ = [
    "Checkpoint",
    "Components",
    "Conformal",
    "Counts",
    "Dar",
    "DarMatched",
    "Data",
    "Device",
    "EmbedderSaw",
    "Protocols",
    "Reconstruction",
    "Result",
    "Run",
    "RunFile",
    "Spec",
    "Suite",
    "Used",
    "Verdict",
    "headline",
    "json_schema",
    "percent",
    "has_arrays",
    "read_arrays",
    "read_checkpoint",
    "read_result",
    "read_run",
    "read_run_file",
    "verdict",
    "write_arrays",
    "write_checkpoint",
    "write_result",
    "write_run_file",
]
