from __future__ import annotations

import h5py
import numpy as np
import pytest
from foreign.damaged import damaged, examples, read

from memtk import hdf5
from memtk.errors import UserError
from memtk.results.store import read_arrays

WORST = (1178, 1502)
"""Seeds of damage: in the library itself, the first ends a process and the second hangs it."""


@pytest.mark.parametrize("seed", WORST)
def test_a_file_that_ends_or_hangs_the_library_is_refused_wherever_it_is_read(
    seed, tmp_path, registry
):
    sources = examples("HDF5", tmp_path)
    (tmp_path / "damaged").mkdir()
    path = damaged(sources[seed % len(sources)], seed, tmp_path / "damaged")
    for reads in (lambda: read(path, registry), lambda: read_arrays(path, "images")):
        with pytest.raises(UserError, match=f"cannot read .*{path.name}: it is damaged so that"):
            reads()


def test_without_a_process_to_look_through_it_first_a_file_is_read_all_the_same(
    tmp_path, registry, monkeypatch
):
    hdf5.end()
    monkeypatch.setattr("sys.executable", str(tmp_path / "none"))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"] = np.arange(128.0).reshape(2, 8, 8)
    read(tmp_path / "a.h5", registry)
