"""The size of a pixel that the header of a TIFF says: by OME, ImageJ or tifffile's own metadata."""

from __future__ import annotations

import html
import math
import re
from pathlib import Path
from typing import Any

import tifffile

from memtk import UserError
from memtk.errors import printable

MILLIMETRES = {
    "m": 1000.0,
    "dm": 100.0,
    "cm": 10.0,
    "mm": 1.0,
    "um": 1e-3,
    "nm": 1e-6,
    "pm": 1e-9,
    "å": 1e-7,
    "in": 25.4,
}
"""Units of length by their signs."""

WORDS = {"inch": "in", "inches": "in", "micron": "um", "microns": "um", "angstrom": "å"} | {
    f"{prefix}met{end}": f"{sign}m"
    for prefix, sign in {"": "", "centi": "c", "milli": "m", "micro": "u", "nano": "n"}.items()
    for end in ("er", "ers", "re", "res")
}
"""The same by words."""

NONE = frozenset({"", "pixel", "pixels", "px", "null", "none", "reference frame"})
"""What stands in the place of a unit where nobody has measured."""


def tiff_spacing(file: tifffile.TiffFile, path: Path) -> tuple[float, float, float]:
    """Return the distance of slices, rows and columns in millimetres, 1 where unknown.

    TIFF's own resolution counts where metadata give it a unit: else it is about print.

    Raises:
        UserError: if sizes are said in a unit that is not known, or are none.
    """
    said = _by_ome(file.ome_metadata) if file.ome_metadata else _by_imagej(file)
    found = [_in_millimetres(path, *size) for size in said]
    return found[0], found[1], found[2]


def _by_ome(header: str) -> list[tuple[Any, str]]:
    """Return number and unit of each axis."""
    pixels = re.search(r"<(?:\w+:)?Pixels\b[^>]*", header)
    said = dict(
        re.findall(r"\b(PhysicalSize\w+)\s*=\s*[\"']([^\"']*)", pixels[0] if pixels else "")
    )
    sizes = [f"PhysicalSize{axis}" for axis in "ZYX"]
    return [(said.get(size), html.unescape(said.get(f"{size}Unit", "um"))) for size in sizes]


def _by_imagej(file: tifffile.TiffFile) -> list[tuple[Any, str]]:
    """Return the same by what ImageJ writes, and tifffile where it is told to."""
    said = file.imagej_metadata or (file.shaped_metadata or ({},))[0]
    unit, tags = str(said.get("unit") or ""), file.pages.first.tags
    found: list[tuple[Any, str]] = [(said.get("spacing"), unit)]
    for axis, name in ("y", "YResolution"), ("x", "XResolution"):
        pixels, units = tags[name].value if name in tags else (0, 1)
        found.append((units / pixels if pixels else None, str(said.get(f"{axis}unit") or unit)))
    return found


def _in_millimetres(path: Path, size: Any, unit: str) -> float:
    plain = unit.replace("\\u00B5", "u").replace("µ", "u").replace("μ", "u").strip(' "').lower()
    if size is None or plain in NONE:
        return 1.0
    factor = MILLIMETRES.get(WORDS.get(plain, plain))
    try:
        number = abs(float(size))
    except (TypeError, ValueError):
        number = math.nan
    if factor is None and number == 1:  # what programs write where nobody has measured
        return 1.0
    if factor is None or not 0 < number < math.inf:
        said = printable(f"{size!s:.20} {unit:.20}")
        raise UserError(
            f"cannot read {path}: its header says that a pixel is {said} large, which is no length "
            "that is known. Save it with unit mm, or without a unit"
        )
    return number * factor
