"""How the components are checked, by `memtk plugins test example` and by pytest."""

from __future__ import annotations

from pathlib import Path

from memtk.interfaces import ImageSpec
from memtk.testing import Case
from memtk_example.colophon import Colophon
from memtk_example.gaussian import Gaussian
from memtk_example.grain import Grain
from memtk_example.manhattan import Manhattan
from memtk_example.pgm import PgmReader
from memtk_example.thumbnail import Thumbnail

FLAT, DEEP = ImageSpec((16, 16)), ImageSpec((8, 8, 8), channels=2)


def write_pgm(folder: Path) -> Path:
    """Write a sound file into a folder; large enough to see what is read of it."""
    path = folder / "a.pgm"
    values = " ".join(str(7 * i % 256) for i in range(150 * 130))
    path.write_text(f"P2\n150 130\n255\n{values}\n")
    return path


CASES = (
    Case(Gaussian, spec=FLAT),
    Case(Gaussian, {"temperature": 0.5}, DEEP),
    Case(Thumbnail, spec=FLAT),
    Case(Thumbnail, spec=DEEP),
    Case(Manhattan),
    Case(Grain, spec=FLAT, whole_patients=True),
    Case(PgmReader, example=write_pgm),
    Case(Colophon),
)
