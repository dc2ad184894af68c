from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

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
    source = examples("HDF5", tmp_path)[-1]
    (tmp_path / "damaged").mkdir()
    path = damaged(source, seed, tmp_path / "damaged")
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


SOUND = {
    "many chunks": {"shape": (10, 3000, 3000), "chunks": (1, 1, 1)},
    "large images": {"shape": (2, 40000, 40000), "chunks": (1, 100, 100)},
    "chunks across images": {"shape": (10**6, 4000, 1000), "chunks": (10**6, 1, 1)},
    "a long column": {"shape": (10**9, 1), "chunks": (10**7, 1)},
}


@pytest.mark.parametrize("layout", SOUND)
def test_a_sound_file_is_not_called_damaged_because_it_takes_long_to_read(layout, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("images", dtype="f4", fillvalue=1, **SOUND[layout])
    hdf5.look_through(tmp_path / "a.h5")


@pytest.fixture
def sound(tmp_path):
    """A file, and no process that looks yet."""
    hdf5.end()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"] = np.zeros((2, 8, 8))
    return tmp_path / "a.h5"


@pytest.mark.parametrize("place", [Path("/tmp"), "/a\0b", "x" * 10**6], ids=lambda p: repr(p)[:12])
def test_any_place_that_modules_are_looked_for_in_will_do(place, sound, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, place])
    hdf5.look_through(sound)


@pytest.fixture
def interruptible():
    """Ctrl-C is heard, even where what started the tests ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def waits_for(process):
    """Stop the process that looks for a while."""
    os.kill(process.pid, signal.SIGSTOP)
    threading.Timer(2, lambda: process.poll() is None and process.send_signal(18)).start()


@pytest.mark.skipif(os.name != "posix", reason="no such signals here")
def test_an_answer_that_ctrl_c_did_not_wait_for_is_not_that_of_the_next_file(
    sound, tmp_path, interruptible
):
    hdf5.look_through(sound)
    looks = hdf5._looking[os.getpid()]
    waits_for(looks)
    threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    other = sound.rename(tmp_path / "b.h5")
    with pytest.raises(KeyboardInterrupt):
        hdf5.look_through(other)
    assert looks.poll() is not None and os.getpid() not in hdf5._looking
    hdf5.look_through(other)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_of_a_process_that_looks_in_another_thread_looks_too(sound, tmp_path):
    hdf5.look_through(sound)
    waits_for(hdf5._looking[os.getpid()])
    other = sound.rename(tmp_path / "b.h5")
    thread = threading.Thread(target=hdf5.look_through, args=(other,))
    thread.start()
    while not hdf5._lock.locked():
        pass
    if (child := os.fork()) == 0:
        signal.alarm(20)
        hdf5.look_through(other)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    thread.join()
