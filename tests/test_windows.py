"""What keeps memtk on systems that are no POSIX, as far as a POSIX machine can show it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

IMPORT_ALL = """
import importlib, pathlib, sys

for name in ("fcntl", "resource", "pwd", "grp"):
    sys.modules[name] = None  # what Windows has not: importing it fails
for root, base in (("memtk", "."), ("plugins", "plugins")):
    for path in sorted(pathlib.Path(root).rglob("*.py")):
        if path.stem != "__main__":
            module = ".".join(path.relative_to(base).with_suffix("").parts)
            importlib.import_module(module.removesuffix(".__init__"))
print(len([name for name in sys.modules if name.split(".")[0].startswith("memtk")]))
"""


def test_every_module_is_imported_without_what_only_posix_has():
    run = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL],
        cwd=ROOT,
        env={**os.environ, "USERNAME": "anna"},  # as Windows has it: monai asks for the name
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert int(run.stdout) > 200
