"""Files of weights and states: tensors and plain values, whole or not at all, with a digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from memtk.errors import UserError
from memtk.files import replacing

FORMAT = 1
"""Version of the layout of these files."""

DIGEST = "digest"
"""The key by which it is known that memtk wrote all of a file."""

WAY_OUT = "delete it and run the same command again, or run with --no-resume"


def write_file(path: Path, content: Mapping[str, Any]) -> None:
    """Save a mapping of tensors and plain values."""
    whole = {"format": FORMAT, **content}
    # Through a Python file: torch's own writer hides that the disk is full.
    with replacing(path) as temporary, open(temporary, "wb") as file:
        torch.save(whole | {DIGEST: _digest(whole)}, file)


def read_file(path: Path, *, changed: bool = False) -> dict[str, Any]:
    """Load what `write_file` saved, onto the CPU. Nothing in the file is executed.

    Args:
        changed: whether it may be another's, who has changed it.

    Raises:
        UserError: if the file is missing, damaged, of another format, or not as it was written.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}") from error
    except Exception as error:  # whatever torch's unpickler stumbles over
        raise UserError(f"{path} is damaged or no file of memtk's: {WAY_OUT}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"{path} is not in the format of this version of memtk: {WAY_OUT}")
    written = content.pop(DIGEST, None)  # older files have none
    if not changed and written is not None and written != _digest(content):
        raise UserError(f"{path} is not as memtk wrote it: {WAY_OUT}")
    return content


def is_ours(path: Path) -> bool:
    """Tell whether a file is a checkpoint of memtk."""
    try:
        content = torch.load(path, map_location="meta", weights_only=True)
        return isinstance(content, dict) and {"format", "model"} <= set(content)
    except Exception:  # whatever torch's unpickler stumbles over
        return False


def _digest(content: Mapping[str, Any]) -> str:
    """Return what mappings of the same tensors and plain values share."""
    digest = hashlib.sha256()
    for part in _parts(content):
        digest.update(part)
    return digest.hexdigest()


def _parts(value: Any) -> Iterator[Any]:
    """Yield the bytes of all that a tree holds."""
    if isinstance(value, torch.Tensor):
        plain = value.detach().to_dense().cpu().contiguous()
        yield f"{plain.dtype} {tuple(plain.shape)}".encode()
        yield plain.reshape(-1).view(torch.uint8).numpy().data
    elif isinstance(value, Mapping):
        yield f"{len(value)} of".encode()
        for key, one in value.items():
            yield f"{key!r}:".encode()
            yield from _parts(one)
    elif isinstance(value, list | tuple):
        yield f"{len(value)} items".encode()
        for one in value:
            yield from _parts(one)
    else:
        yield f"{sorted(map(repr, value)) if isinstance(value, set) else value!r},".encode()
