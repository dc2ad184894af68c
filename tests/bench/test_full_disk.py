"""A full disk: a message and exit 2, wherever it strikes. Needs the right to mount a tmpfs."""

from __future__ import annotations

import subprocess

import pytest
from click.testing import CliRunner

from memtk.cli import cli


@pytest.fixture(autouse=True)
def _quick():
    """Figures are drawn: they need a place too."""


@pytest.fixture
def small_disk(tmp_path):
    """Mount a tmpfs of a size; unmounted at the end."""
    mounted = []

    def mount(size):
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(tmp_path)]
        try:
            done = subprocess.run(command, capture_output=True)
        except FileNotFoundError:
            pytest.skip("there is no mount command here")
        if done.returncode:
            pytest.skip("no right to mount a small disk here")
        mounted.append(tmp_path)
        return tmp_path

    yield mount
    for path in mounted:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.mark.parametrize("size", ["600k", "1500k"])
def test_a_full_disk_is_told_and_leaves_nothing_half_written(small_disk, size):
    folder = small_disk(size)
    command = ["bench", "-g", "copycat", "--similarity", "ncc", "--preset", "smoke"]
    done = CliRunner().invoke(cli, [*command, "--device", "cpu", "--out", str(folder / "run")])
    assert done.exit_code == 2, done.output
    assert "the disk is full: free some space" in done.stderr and "Traceback" not in done.stderr
    assert not list(folder.rglob("*.tmp"))
