"""What answers at once imports nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "monai", "diffusers", "matplotlib", "pydantic", "numpy", "rich", "jinja2")


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["list"], ["plugins"], ["plugins", "new", "--help"], ["plugins", "test", "--help"]]
    + [
        [c, "--help"]
        for c in (
            "bench",
            "audit",
            "check",
            "selftest",
            "release",
            "results",
            "leaderboard",
            "study",
            "reference",
        )
    ],
)
def test_help_list_and_plugins_import_nothing_heavy(arguments):
    program = (
        "import sys\n"
        f"sys.argv = ['memtk', *{arguments!r}]\n"
        "from memtk.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"print('heavy:', [m for m in {HEAVY!r} if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("heavy: []")
