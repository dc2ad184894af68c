"""Arrays and checkpoints of a stranger: in their file, no larger, no more than there can be."""

from __future__ import annotations

import json
import os
import shutil
import time
import tracemalloc

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from memtk.cli import cli
from memtk.errors import UserError
from memtk.results.store import read_arrays, write_arrays


def external(path):
    with h5py.File(path.with_name("other.h5"), "w") as file:
        file["secret"] = np.arange(4.0)
    with h5py.File(path, "w") as file:
        group = file.create_group("a")
        group["x"] = h5py.ExternalLink("other.h5", "secret")


def soft(path):
    with h5py.File(path, "w") as file:
        file["b"] = np.arange(3)
        file.create_group("a")["x"] = h5py.SoftLink("/b")


def outside(path):
    path.with_name("raw").write_bytes(bytes(32))
    with h5py.File(path, "w") as file:
        group = file.create_group("a")
        group.create_dataset("x", (4,), "f8", external=[(str(path.with_name("raw")), 0, 32)])


def virtual(path):
    external(path)
    with h5py.File(path, "w") as file:
        layout = h5py.VirtualLayout((4,), "f8")
        layout[:] = h5py.VirtualSource(path.with_name("other.h5"), "secret", (4,))
        file.create_group("a").create_virtual_dataset("x", layout)


def bomb(path):
    with h5py.File(path, "w") as file:
        file.create_group("a").create_dataset("x", (10**10,), "f8", chunks=(10**6,))


def packed_bomb(path):
    with h5py.File(path, "w") as file:
        zeros = np.zeros(10**7)
        file.create_group("a").create_dataset("x", data=zeros, compression="gzip")


def packed_in_parts(path):
    """Each of the arrays is smaller than the file, all of them are a hundred times as large."""
    with h5py.File(path, "w") as file:
        file["b"] = np.random.default_rng(0).random(10**5)
        for number in range(100):
            zeros = np.zeros(10**5)
            file.create_dataset(f"a/{number}", data=zeros, chunks=(10**5,), compression="gzip")


def many_names(path):
    with h5py.File(path, "w") as file:
        file["a/0"] = np.zeros(10**5)
        for number in range(1, 1000):
            file[f"a/{number}"] = file["a/0"]


def many_groups(path):
    with h5py.File(path, "w") as file:
        file["a/x"] = np.zeros(10**5)
        file["b"] = file["a"]


def grouped(path):
    with h5py.File(path, "w") as file:
        file.create_group("a/x")


ARRAYS = (
    *(external, soft, outside, virtual, bomb, packed_bomb, grouped, os.mkfifo),
    *(packed_in_parts, many_names, many_groups),
)


@pytest.mark.parametrize("make", ARRAYS)
def test_arrays_lie_in_their_file_and_are_no_larger(make, tmp_path):
    path = tmp_path / "arrays.h5"
    make(path)
    tracemalloc.start()
    with pytest.raises(UserError, match="is damaged|has no group 'a'"):
        read_arrays(path, "a")
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("count", [1001, 3000])
@pytest.mark.parametrize("beside", [True, False])
def test_more_checkpoints_than_a_bench_takes_are_refused_within_seconds(
    count, beside, world, tmp_path
):
    shutil.copytree(world["all"], tmp_path / "all")
    [path] = (tmp_path / "all").rglob("result.json")
    tree = json.loads(path.read_text())
    tree["checkpoints"] = [tree["checkpoints"][-1] | {"step": 100 + n} for n in range(count)]
    path.write_text(json.dumps(tree))
    if not beside:
        path.with_name("arrays.h5").unlink()
    begin = time.process_time()
    done = CliRunner().invoke(cli, ["results", "validate", str(tmp_path / "all")])
    assert done.exit_code == 3 and "at most 1000 items" in " ".join(done.output.split())
    done = CliRunner().invoke(cli, ["results", "show", str(path)])
    assert done.exit_code == 2 and time.process_time() - begin < 10


def test_arrays_of_memtk_are_read(tmp_path):
    write_arrays(tmp_path / "arrays.h5", "a", {"x": np.zeros(10**5), "y": np.array(3)})
    assert read_arrays(tmp_path / "arrays.h5", "a")["x"].shape == (10**5,)
