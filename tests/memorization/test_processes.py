"""The search over real processes, as `torchrun` starts them (gloo)."""

import subprocess
import sys

import numpy as np
import pytest

from memtk.memorization import search

SCRIPT = """
import sys
from dataclasses import fields
import numpy as np
from memtk.errors import UserError
from memtk.memorization import Execution, search
from memtk.registry import open_registry
from memtk.training.devices import open_devices

folder = sys.argv[1]
devices = open_devices("cpu")
assert devices.world == 2
pearson = open_registry().load("similarity", "pearson")()
q, r = (np.load(f"{folder}/{name}.npy", mmap_mode="r") for name in "qr")
half = len(q) // 2
names = np.arange(len(q)) % half, np.arange(len(r)) % half
for case, more in (("all", {}), ("patients", {"patients": names})):
    found = search(
        q, r, pearson, threshold=0.3, top=5, **more,
        execution=Execution("cpu", devices.rank, devices.world, devices.collect, (64, 50)),
    )
    arrays = {}
    for side in ("queries", "references"):
        one = getattr(found, side)
        arrays |= {f"{side}_{f.name}": getattr(one, f.name) for f in fields(one)}
    np.savez(f"{folder}/{case}{devices.rank}.npz", **arrays)

rows = np.random.default_rng(0).normal(size=(20, 8))
broken = rows.copy()
if devices.rank == 1:
    broken[3] = 1.0
try:
    shared = Execution(rank=devices.rank, world=2, gather=devices.collect)
    search(rows, broken, pearson, execution=shared)
except UserError as error:
    with open(f"{folder}/told{devices.rank}", "w") as file:
        file.write(str(error))
devices.wait()
"""


@pytest.fixture(scope="module")
def sets():
    rng = np.random.default_rng(0)
    q, r = rng.normal(size=(150, 8)), rng.normal(size=(130, 8))
    r[[3, 70, 129]] = q[[0, 0, 5]]  # the same in both shares
    q[149] = q[2]
    return q, r


@pytest.fixture(scope="module")
def folder(sets, tmp_path_factory):
    """What both processes wrote."""
    folder = tmp_path_factory.mktemp("processes")
    for name, rows in zip("qr", sets, strict=True):
        np.save(folder / f"{name}.npy", rows)
    (folder / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", str(folder / "script.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_two_processes_of_torchrun_give_the_bits_of_one(pearson, sets, folder):
    q, r = sets
    names = np.arange(150) % 75, np.arange(130) % 75
    for case, more in (("all", {}), ("patients", {"patients": names})):
        alone = search(q, r, pearson, threshold=0.3, top=5, **more)
        for rank in range(2):
            found = dict(np.load(folder / f"{case}{rank}.npz"))
            assert len(found) == 8
            for name, array in found.items():
                side, _, field = name.partition("_")
                expected = getattr(getattr(alone, side), field)
                assert expected.dtype == array.dtype
                np.testing.assert_array_equal(array, expected)


def test_what_one_process_refuses_is_told_by_both_and_neither_waits(folder):
    told = [(folder / f"told{rank}").read_text() for rank in range(2)]
    assert told[0] == told[1] and "row 3 is constant" in told[0]
