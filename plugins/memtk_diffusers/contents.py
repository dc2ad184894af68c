"""A text that changes when a saved pipeline does."""

from __future__ import annotations

from pathlib import Path

from memtk.errors import UserError
from memtk.files import folder_digest

SUFFIXES = {".json", ".safetensors"}
"""Of the files that a pipeline is loaded from."""


def contents_of(folder: Path) -> str:
    """Return 32 characters that stand for names and contents of a pipeline's files.

    Raises:
        UserError: if there is no such folder, or a file in it cannot be read.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder. Give one that save_pretrained wrote.")
    return folder_digest(folder, SUFFIXES)
