"""What answers at once imports nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RESULT = str(Path(__file__).parent / "results/result-schema-3.json")
HEAVY = {"torch", "monai", "diffusers", "matplotlib", "pydantic", "numpy", "rich", "jinja2"}


def imported(*arguments):
    """Return the modules that a command imports, with those that they import."""
    program = (
        "import sys\n"
        f"sys.argv = ['memtk', *{arguments!r}]\n"
        "from memtk.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "print('imported:', *sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {*done.stdout.rpartition("imported:")[2].split()}


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
    assert not HEAVY & imported(*arguments)


def test_a_result_is_shown_without_torch_and_statistics():
    assert not {"torch", "scipy.stats"} & imported("results", "show", RESULT)
