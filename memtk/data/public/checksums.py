"""Checksums of files whose publisher gives none: the first download's is kept."""

from __future__ import annotations

import json
from pathlib import Path

from memtk.errors import UserError
from memtk.files import write_text

FILE = "checksums.json"


def read_checksums(folder: Path) -> dict[str, str]:
    """Return what has been kept in a set's folder: "sha256:..." by file name.

    Raises:
        UserError: if the file is damaged.
    """
    path = folder / FILE
    if not path.exists():
        return {}
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot read {path}: {error}. Delete it to trust the files anew"
        ) from error
    if not isinstance(kept, dict):
        raise UserError(f"{path} holds no checksums. Delete it to trust the files anew")
    return {str(name): str(value) for name, value in kept.items()}


def keep_checksum(folder: Path, name: str, checksum: str) -> None:
    """Keep one more."""
    kept = read_checksums(folder) | {name: checksum}
    write_text(folder / FILE, json.dumps(kept, indent=2, sort_keys=True) + "\n")
