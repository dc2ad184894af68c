"""Weights of an embedder that was trained elsewhere: which file, and what it has seen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from memtk.data.images import StoredImages, identical_images
from memtk.errors import UserError
from memtk.files import file_digest
from memtk.interfaces import Images


def weights_in(given: str | None) -> Path | None:
    """Return the file of weights: as given, or the last checkpoint of a run folder's embedder.

    Raises:
        UserError: if there is none.
    """
    if given is None:
        return None
    path = Path(given).expanduser()
    if path.is_file():
        return path
    found = path.glob("embedder/training/checkpoints/step-*.pt")
    last = max(found, key=lambda p: (len(p.name), p.name), default=None)
    if last is None:
        raise UserError(
            f"--weights {given}: it is no file, and no run folder with a trained embedder "
            "(embedder/training/checkpoints/step-*.pt)"
        )
    return last


def digest_of(path: Path) -> str:
    """Return what changes when the weights do.

    Raises:
        UserError: if the file cannot be read.
    """
    return file_digest(path)[:32]


def check_unseen(weights: Path | None, sets: Mapping[str, Images], *, exposure: bool) -> None:
    """Refuse weights of a run of memtk whose embedder was trained on images that are judged now.

    Of weights that lie in no run folder nothing is known.

    Args:
        weights: a file; None is always fine.
        sets: the images by name: "training", "validation", "synthetic", "held_out".
        exposure: whether training images are judged too; if not, they may have been seen.

    Raises:
        UserError: counting the images.
    """
    seen = _seen_by(weights) if weights else None
    if seen is None:
        return
    for name, images in sets.items():
        if name == "training" and not exposure:
            continue
        if not (count := int(identical_images(seen, images).sum())):
            continue
        way = "take others"
        if name == "training":
            way = (
                "it makes them stand apart from the validation images, and hides who is exposed. "
                "With --no-exposure it may judge the synthetic images alone"
            )
        raise UserError(
            f"the embedder in {weights} was trained on {count} of these {len(images)} "
            f"{name.replace('_', '-')} images: {way}."
        )


def _seen_by(weights: Path) -> Images | None:
    """Return the images that an embedder in a run folder was trained on; None where unknown."""
    path = weights.absolute()
    root = next((p for p in path.parents if (p / "run.json").exists()), None)
    if root is None:
        return None
    side = "synthetic" if path.relative_to(root).parts[0] == "exposure" else "training"
    for file in sorted((root / "data").glob("*.h5")):
        try:
            return StoredImages(file, side)
        except (UserError, OSError, KeyError, ValueError):
            continue
    return None
