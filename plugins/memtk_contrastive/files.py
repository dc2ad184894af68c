"""Reads weights that others published. Nothing in their files is executed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from memtk.errors import UserError
from memtk.files import file_digest


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a `state_dict` by name, on the CPU.

    Args:
        path: a file of `torch.save`, or `.safetensors`.

    Raises:
        UserError: if it is missing, damaged, holds more than tensors, or is a checkpoint of memtk.
    """
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    try:
        content: Any
        if path.suffix == ".safetensors":
            content = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever torch's unpickler stumbles over
        raise UserError(
            f"{path} cannot be read: it is damaged, neither of torch.save nor .safetensors, or "
            "holds objects other than tensors.\nMemtk runs nothing that lies in a file. Save its "
            "state_dict alone, where you trust it."
        ) from error
    if isinstance(content, Mapping) and {"format", "model"} <= set(content):
        raise UserError(
            f"{path} is a checkpoint of memtk's own; the setting takes those of the reference's "
            "code.\nFor an audit with it: memtk audit --weights FILE"
        )
    found = {}
    if isinstance(content, Mapping):
        found = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    if not found:
        raise UserError(f"{path} holds no weights: expected the tensors of a state_dict, by name")
    return found


def contents_of(paths: Sequence[Path]) -> str:
    """Return 32 characters that change when a file does; none for no files.

    Raises:
        UserError: if one cannot be read.
    """
    if not paths:
        return ""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(file_digest(path).encode())
    return digest.hexdigest()[:32]
