"""Sets that are larger than the memory there is."""

import json
import subprocess
import sys

import numpy as np
import pytest

SCRIPT = """
import json, resource, sys
import numpy as np
from memtk.memorization import Execution, search
from memtk.registry import open_registry

pearson = open_registry().load("similarity", "pearson")()
small = np.random.default_rng(0).normal(size=(300, 64))
search(small, small, pearson, execution=Execution(tile=(256, 256)))  # threads and buffers

def data():
    with open("/proc/self/status") as file:
        lines = dict(line.split(":", 1) for line in file)
    return int(lines["VmData"].split()[0]) * 1024

room = int(sys.argv[2])
limit = data() + room
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))  # what is mapped does not count
try:
    np.ones(room // 4 * 5, dtype=np.uint8)
    raise SystemExit("the limit does not hold")
except MemoryError:
    pass
q, r = (np.load(f"{sys.argv[1]}/{name}.npy", mmap_mode="r") for name in "qr")
found = search(q, r, pearson, execution=Execution(tile=(512, 1024)), top=2)
print(json.dumps([found.queries.top_index.tolist(), found.references.index.tolist()]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs RLIMIT_DATA of Linux")
def test_mapped_sets_larger_than_memory_are_searched(tmp_path, rng):
    width, room = 16384, 160 * 2**20
    q, r = (rng.standard_normal((n, width), dtype=np.float32) for n in (2000, 1500))
    r[7], r[1400] = q[1900], q[3]
    for name, rows in zip("qr", (q, r), strict=True):
        np.save(tmp_path / f"{name}.npy", rows)
    assert q.nbytes + r.nbytes > 1.3 * room
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(room)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    top, back = map(np.array, json.loads(done.stdout))
    assert top[1900, 0] == 7 and top[3, 0] == 1400 and back[7] == 1900 and back[1400] == 3
    for rows in (q, r):
        rows -= rows.mean(1, keepdims=True)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    dense = q @ r.T
    np.testing.assert_array_equal(top, np.argsort(-dense, axis=1)[:, :2])
    np.testing.assert_array_equal(back, dense.argmax(0))
