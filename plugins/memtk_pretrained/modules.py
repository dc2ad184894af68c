"""Takes the tensors out of a module that was pickled whole. None of the file's classes is used."""

from __future__ import annotations

import zipfile
from pathlib import Path

import torch
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from memtk_pretrained.inert import Inert, named_values
from memtk_pretrained.legacy import read_legacy_module


def read_module(path: Path) -> dict[str, Tensor]:
    """Return the parameters and buffers of a module that was saved whole, by their names.

    torch's unpickler of weights reads the file; it knows tensors, and every other name in the file
    is `Inert`. So nothing of the file is run.

    Raises:
        pickle.UnpicklingError, RuntimeError, ValueError: and others, if it cannot be read.
    """
    if not zipfile.is_zipfile(path):
        return read_legacy_module(path)
    names = get_unsafe_globals_in_checkpoint(path)
    with safe_globals([(Inert, name) for name in names]):
        content = torch.load(path, map_location="cpu", weights_only=True)
    return {name: value for name, value in named_values(content) if isinstance(value, Tensor)}
