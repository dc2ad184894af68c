"""On what the roads are checked: `CASES` the plugin's own generator, `ROADS` what needs none."""

from __future__ import annotations

import shlex
import sys
import tempfile
from pathlib import Path

from memtk.interfaces import Condition, ImageSpec
from memtk.testing import Case
from memtk_files.command import Command
from memtk_files.images import GivenImages
from memtk_roads.class_mean import ClassMean
from memtk_roads.draw import SIDE, draw

VIEWS = (Condition("view", ("AP", "PA")),)

_KEPT = tempfile.TemporaryDirectory(prefix="memtk-roads-")  # is removed when the process ends
_MADE = Path(_KEPT.name) / "made"
draw(_MADE, 6, seed=0)

CASES = (
    Case(ClassMean, spec=ImageSpec((16, 16))),
    Case(ClassMean, spec=ImageSpec((16, 16), conditions=VIEWS)),
    Case(ClassMean, spec=ImageSpec((8, 8, 8), channels=2)),
)

PROGRAM = [sys.executable, "-m", "memtk_roads.draw", "{folder}", "{count}", "{seed}"]

ROADS = (
    Case(GivenImages, {"source": str(_MADE)}, ImageSpec((SIDE, SIDE))),
    Case(
        Command,
        {"run": shlex.join(PROGRAM), "folder": f"{_KEPT.name}/kept", "count": 2},
        ImageSpec((SIDE, SIDE)),
    ),
)
