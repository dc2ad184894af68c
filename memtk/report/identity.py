"""Short names of images in a report, which only the owner of the run folder can trace back."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from memtk.errors import UserError


def short_hash(key: bytes, split: str, index: int) -> str:
    """Return eight hexadecimal digits that stand for an image: HMAC-SHA256 of split and index.

    Without the key they say nothing; with it, the owner of the run finds the image again.

    Args:
        key: of the run.
        split: "training", or "CELL/step-000900" for synthetic images.
        index: of the image in it.

    >>> short_hash(b"key", "training", 3) == short_hash(b"key", "training", 3)
    True
    >>> short_hash(b"key", "training", 3) == short_hash(b"other", "training", 3)
    False
    """
    return hmac.new(key, f"{split}\0{index}".encode(), hashlib.sha256).hexdigest()[:8]


def read_key(folder: Path) -> bytes:
    """Return the key of a run, from `folder/key`.

    Raises:
        UserError: if it is missing or damaged, naming it.
    """
    path = Path(folder) / "key"
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot read {path}: images cannot be named without the key of their run.\n"
            "Put the file back, or run the same bench with --no-resume."
        ) from error
    if len(key) < 16:
        raise UserError(f"{path} is damaged: it should hold 32 bytes in hexadecimal digits")
    return key
