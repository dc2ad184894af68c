"""The search over real processes (gloo)."""

import subprocess
import sys

import numpy as np

from memtk.memorization import search

SCRIPT = """
import sys
import numpy as np
import torch.distributed as dist
from memtk.memorization import search
from memtk.registry import open_registry

folder, rank = sys.argv[1], int(sys.argv[2])
dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)

def gather(value):
    values = [None, None]
    dist.all_gather_object(values, value)
    return values

q, r = np.load(f"{folder}/q.npy"), np.load(f"{folder}/r.npy")
pearson = open_registry().load("similarity", "pearson")()
found = search(q, r, pearson, threshold=0.3, rank=rank, world=2, gather=gather)
np.savez(
    f"{folder}/found{rank}.npz",
    *(getattr(s, n) for s in (found.queries, found.references)
      for n in ("similarity", "index", "above")),
)
dist.destroy_process_group()
"""


def test_two_processes_give_the_bits_of_one(pearson, rng, tmp_path):
    q, r = rng.normal(size=(60, 8)), rng.normal(size=(70, 8))
    np.save(tmp_path / "q.npy", q)
    np.save(tmp_path / "r.npy", r)
    running = [
        subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path), str(rank)])
        for rank in range(2)
    ]
    try:
        assert [process.wait(60) for process in running] == [0, 0]
    finally:
        for process in running:
            process.kill()
    alone = search(q, r, pearson, threshold=0.3)
    expected = [
        getattr(side, name)
        for side in (alone.queries, alone.references)
        for name in ("similarity", "index", "above")
    ]
    for rank in range(2):
        found = np.load(tmp_path / f"found{rank}.npz")
        for array, name in zip(expected, found.files, strict=True):
            np.testing.assert_array_equal(found[name], array)
