"""Reads the tensors of a checkpoint that others published. Nothing in the file is executed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from memtk.errors import UserError

LIBRARIES = ("omegaconf.", "pytorch_lightning.", "lightning.", "typing.", "collections.", "numpy.")
"""Packages whose objects lie beside the weights in such files: settings, states of callbacks."""

PLAIN = ("builtins.dict", "builtins.list", "builtins.int", "builtins.float", "builtins.str")


class Inert:
    """Stands in for an object of another library: takes anything, holds and does nothing."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


def read_tensors(path: str | Path, *sections: str) -> dict[str, Tensor]:
    """Return the tensors of a file by name, on the CPU.

    Args:
        path: a file of `torch.save`.
        sections: keys under which the tensors may lie; the first one that is there is taken, else
            "state_dict", else the file itself.

    Raises:
        UserError: if it is missing, damaged, holds code or no tensors.
    """
    content = _load(Path(path))
    for section in (*sections, "state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(section), Mapping):
            content = content[section]
            break
    found = {}
    if isinstance(content, Mapping):
        found = {str(k): v for k, v in content.items() if isinstance(v, Tensor)}
    if not found:
        raise UserError(f"{path} holds no weights: expected a state_dict saved with torch.save")
    return found


def _load(path: Path) -> Any:
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    try:
        with safe_globals(_stand_ins(path)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever torch's unpickler stumbles over
        raise UserError(
            f"{path} cannot be read: it is damaged, no file of torch.save, or holds objects other "
            "than tensors.\nMemtk runs nothing that lies in a file. Save its state_dict alone "
            "with torch.save, where you trust it."
        ) from error


def _stand_ins(path: Path) -> list[Any]:
    """Name what is read as `Inert`: a class of our own, so that nothing of the file's runs."""
    try:
        names = get_unsafe_globals_in_checkpoint(path)
    except Exception:  # an old format, or damaged: tensors alone can be read
        return []
    return [(Inert, name) for name in names if name.startswith(LIBRARIES) or name in PLAIN]
