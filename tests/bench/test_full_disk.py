"""A full disk: a message and exit 2, wherever it strikes. Needs the right to mount a tmpfs."""

from __future__ import annotations

import subprocess
import sys

import pytest


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
        subprocess.run(["umount", str(path)], check=True)


@pytest.mark.parametrize("size", ["600k", "1500k"])
def test_a_full_disk_is_told_and_leaves_nothing_half_written(small_disk, size):
    folder = small_disk(size)
    command = [sys.executable, "-m", "memtk", "bench", "-g", "copycat", "--similarity", "ncc"]
    command += ["--preset", "smoke", "--device", "cpu", "--out", str(folder / "run")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "the disk is full: free some space" in done.stderr and "Traceback" not in done.stderr
    assert not list(folder.rglob("*.tmp"))
