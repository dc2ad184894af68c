"""MedMNIST's 2D and 3D sets, as the package `medmnist` lists them."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from memtk.data.public.record import PublicFile, PublicSet
from memtk.errors import UserError, did_you_mean

FAMILY = "medmnist/"

_CITATION = (
    "Yang et al., MedMNIST v2: a large-scale lightweight benchmark for 2D and 3D biomedical image "
    "classification, Scientific Data 10:41, 2023",
    "and the source of the single set: see https://medmnist.com",
)
_NOTE = (
    "MedMNIST has no patient numbers: each image counts as a patient of its own, and the splits "
    "are as published. Where a patient has several images, they may stand on both sides, and a "
    "copy cannot be told from another image of the same patient.",
)


def medmnist_sets() -> dict[str, PublicSet]:
    """Return all sets and sizes, `medmnist/pneumoniamnist`, `medmnist/pneumoniamnist_64`, ...

    Empty where the package is not installed. Its table is read and not run: importing the package
    needs torchvision, and makes a folder in the home directory.
    """
    table = _table()
    sets = {}
    for short, info in table.items():
        for key in info:
            if key == "url" or key.startswith("url_"):
                size = key.removeprefix("url")
                made = _set(short, size, info)
                sets[made.name] = made
    return sets


def find_medmnist(name: str) -> PublicSet:
    """Return one of them by its name, `medmnist/...`.

    Raises:
        UserError: if the package is not installed, or has no such set.
    """
    sets = medmnist_sets()
    if not sets:
        raise UserError(
            f"{name}: the list of MedMNIST's sets comes with the package medmnist, which is not "
            "installed: pip install 'memtk[medmnist]'"
        )
    if name not in sets:
        raise UserError(
            f"unknown data set {name!r}: memtk data list --all shows MedMNIST's {len(sets)}."
            f"{did_you_mean(name, sets)}"
        )
    return sets[name]


def _set(short: str, size: str, info: dict[str, Any]) -> PublicSet:
    counts = info["n_samples"]
    dims = 3 if short.endswith("3d") else 2
    side = int(size.removeprefix("_") or 28)
    colour = ", colour" if info["n_channels"] == 3 else ""
    return PublicSet(
        name=f"{FAMILY}{short}{size}",
        title=f"{dims}D {info['python_class']}, {' x '.join([str(side)] * dims)}{colour}",
        images=sum(counts.values()),
        patients=None,
        licence=str(info["license"]),
        citation=_CITATION,
        homepage="https://medmnist.com",
        files=(PublicFile(f"{short}{size}.npz", info[f"url{size}"], f"md5:{info[f'MD5{size}']}"),),
        top=f"{short}{size}.npz",
        notes=_NOTE,
        unpack=False,
    )


def _table() -> dict[str, dict[str, Any]]:
    spec = find_spec("medmnist")  # finds the package without importing it
    places = spec.submodule_search_locations if spec else None
    if not places:
        return {}
    try:
        tree = ast.parse((Path(places[0]) / "info.py").read_text(encoding="utf-8"))
        tables = [
            ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "INFO"
        ]
    except (OSError, ValueError, SyntaxError) as error:
        raise UserError(
            f"the package medmnist has no list of sets that can be read: {error}"
        ) from error
    return tables[0] if tables else {}
