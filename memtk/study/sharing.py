"""Files that several run folders have in common: stored once, seen in each."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from memtk.files import explain, replacing


def share(source: Path, target: Path) -> None:
    """Give `target` every file of the folder `source` that it has not got.

    As hard links: each run folder is whole by itself and may be moved or deleted alone, and the
    bytes lie on the disk once. That is safe because these files are never changed in place, only
    replaced. Where the file system has no hard links the files are copied.

    Raises:
        UserError: if `target` cannot be written.
    """
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        if not path.is_file() or path.name.startswith("."):
            continue
        place = target / relative
        if place.exists():
            continue
        with explain(target):
            place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, place)
        except OSError:
            with replacing(place) as temporary:
                shutil.copyfile(path, temporary)
