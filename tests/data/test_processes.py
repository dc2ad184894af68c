"""Files are read once, by processes where that pays; the numbers are the same."""

import hashlib
import json
import operator
import os
import signal
import subprocess
import sys
import threading
import time

import imageio.v3 as imageio
import nibabel
import numpy as np
import psutil
import pytest
import torch

from memtk import files, prefetch
from memtk.config import build
from memtk.data.checks.examination import examine
from memtk.data.config import DataConfig
from memtk.data.prepare import prepare
from memtk.errors import UserError
from memtk.prefetch import prefetch_in_processes

SPLITS = ("train", "train", "train", "val", "val", "test")


@pytest.fixture
def eager(monkeypatch):
    """Start processes after two images, whatever they save, and give them the next three."""
    monkeypatch.setattr(prefetch, "PAYS", -1.0)
    monkeypatch.setattr(prefetch, "TRIED", 2)
    monkeypatch.setattr(prefetch, "ALONE", 0.0)


@pytest.fixture
def manifest(tmp_path):
    """Write volumes of 16 bits, one of them of scaled floats, and their manifest."""
    rng, lines = np.random.default_rng(0), ["path,patient_id,split"]
    for number, split in enumerate(SPLITS):
        voxels = rng.integers(-1000, 2000, (20, 21, 22)).astype(np.int16)
        image = nibabel.Nifti1Image(voxels, np.diag([-1.0, 1, 2, 1]))
        image.header.set_slope_inter(0.3 if number == 4 else 1.0, 7)
        nibabel.save(image, tmp_path / f"{number}.nii.gz")
        lines.append(f"{number}.nii.gz,P{number},{split}")
    path = tmp_path / "list.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def config(source, **keys):
    return build(DataConfig, {"source": str(source), **keys}, where="data")


def everything(dataset):
    return {name: dataset.split(name).read(range(len(dataset.split(name)))) for name in SETS}


SETS = ("training", "validation", "held_out")


@pytest.mark.parametrize("keys", [{}, {"spacing": [2, 2, 2], "shape": [12, 9, 20]}])
def test_any_number_of_processes_prepares_the_same_file(manifest, registry, tmp_path, eager, keys):
    asked = config(manifest, **keys)
    one, two = (prepare(asked, tmp_path / str(n), registry, workers=n) for n in (1, 2))
    assert one.fingerprint == two.fingerprint and one.spec == two.spec
    assert one.counts() == two.counts()
    first, second = everything(one), everything(two)
    assert all(torch.equal(first[name], second[name]) for name in SETS)
    assert one.path.read_bytes() == two.path.read_bytes()


def test_turned_and_cropped_images_are_as_exact_as_floats_would_be(manifest, registry, tmp_path):
    asked = config(manifest, shape=[16, 24, 20], orientation="ras")
    made = everything(prepare(asked, tmp_path / "made", registry))["training"]
    for number in range(3):
        x = np.asanyarray(nibabel.load(tmp_path / f"{number}.nii.gz").dataobj).astype(float)
        low, high = np.percentile(x, [0.5, 99.5])
        x = np.clip((x - low) / (high - low) * 2 - 1, -1, 1).astype("f4")[::-1]
        wanted = np.pad(x[2:18, :, 1:21], [(0, 0), (1, 2), (0, 0)], constant_values=-1)
        np.testing.assert_array_equal(made[number, 0].numpy(), wanted)


def test_what_is_wrong_is_said_alike_from_processes(manifest, registry, tmp_path, eager):
    broken = tmp_path / "4.nii.gz"
    broken.write_bytes(broken.read_bytes()[:2000])
    found = []
    for workers in (1, 2):
        with pytest.raises(UserError) as error:
            prepare(config(manifest), tmp_path / str(workers), registry, workers=workers)
        found.append(str(error.value))
    assert found[0] == found[1] and "4.nii.gz" in found[0]
    reports = [examine(config(manifest), registry, workers=n) for n in (1, 2)]
    assert reports[0] == reports[1] and not reports[0].accepted


def test_images_that_few_seconds_take_start_no_process(manifest, registry, tmp_path, monkeypatch):
    monkeypatch.setattr(prefetch, "ProcessPoolExecutor", None)
    prepare(config(manifest), tmp_path / "made", registry, workers=64)


def test_images_of_one_file_are_read_by_one_thread_in_this_process(
    registry, tmp_path, monkeypatch, eager
):
    monkeypatch.setattr(prefetch, "ProcessPoolExecutor", None)
    x = np.random.default_rng(0).integers(0, 256, (300, 24, 24), dtype=np.uint8)
    np.savez_compressed(tmp_path / "a.npz", train=x[:250], val=x[250:])
    cls = registry.find("reader", "numpy").load()
    inside, read = threading.Lock(), cls.read

    def alone(self, record):  # a second one would find the first one's place in the open file
        assert inside.acquire(blocking=False)
        time.sleep(0.0005)
        try:
            return read(self, record)
        finally:
            inside.release()

    monkeypatch.setattr(cls, "read", alone)
    made = prepare(config(tmp_path / "a.npz"), tmp_path / "made", registry, workers=8)
    found = made.split("training").read(range(250))[:, 0].numpy()
    for image, voxels in zip(x, found, strict=False):
        low, high = np.percentile(image, [0.5, 99.5])
        wanted = np.clip((image - low) / (high - low) * 2 - 1, -1, 1)
        np.testing.assert_allclose(voxels, wanted, atol=1e-6)


def test_each_file_is_hashed_once_and_known_again(manifest, registry, tmp_path, monkeypatch):
    hashed, digest = [], files._digest
    monkeypatch.setattr(files, "_digest", lambda path: hashed.append(path.name) or digest(path))
    made = prepare(config(manifest), tmp_path / "made", registry)
    assert sorted(hashed) == [f"{n}.nii.gz" for n in range(6)]
    kept = json.loads((tmp_path / "made" / "contents.json").read_text())
    first = hashlib.sha256((tmp_path / "0.nii.gz").read_bytes()).hexdigest()
    assert kept[str((tmp_path / "0.nii.gz").resolve())][-1] == first
    prepare(config(manifest), tmp_path / "made", registry)
    assert len(hashed) == 6
    voxels = nibabel.load(tmp_path / "0.nii.gz")
    nibabel.save(
        nibabel.Nifti1Image(voxels.get_fdata()[::-1], voxels.affine), voxels.get_filename()
    )
    again = prepare(config(manifest), tmp_path / "made", registry)
    assert again.fingerprint != made.fingerprint and "0.nii.gz" in hashed[6:]


def test_images_are_kept_in_the_bits_that_their_files_have(registry, tmp_path):
    rng, lines = np.random.default_rng(0), ["path,patient_id,split"]
    kinds = ("u1", "u2", "f4", "u1")
    for number, kind in enumerate(kinds):  # more bits are needed on the way
        x = rng.integers(0, 200 if kind == "u1" else 900, (40, 40)).astype(kind)
        x = x + rng.random((40, 40), dtype="f4") if kind == "f4" else x
        imageio.imwrite(tmp_path / f"{number}.tif", x)
        lines.append(f"{number}.tif,P{number},{'train' if number < 3 else 'val'}")
    path, sizes, found = tmp_path / "list.csv", [], []
    for count in (1, 2, 3):
        path.write_text("\n".join([*lines[: count + 1], lines[4]]) + "\n")
        made = prepare(config(path), tmp_path / f"made {count}", registry)
        found.append(made.split("training").read(range(count)))
        sizes.append(made.path.stat().st_size)
    assert torch.equal(found[1][:1], found[0]) and torch.equal(found[2][:2], found[1])
    for number in range(3):
        x = imageio.imread(tmp_path / f"{number}.tif").astype(float)
        low, high = np.percentile(x, [0.5, 99.5])
        wanted = np.clip((x - low) / (high - low) * 2 - 1, -1, 1)
        np.testing.assert_array_equal(found[2][number, 0].numpy(), wanted.astype("f4"))


def test_pictures_take_a_quarter_of_what_floats_take(write_pngs, registry, tmp_path):
    folder = write_pngs([f"p{n}" for n in range(10)], shape=(128, 128))
    made = prepare(config(folder), tmp_path / "made", registry)
    assert made.path.stat().st_size < 0.4 * 10 * 4 * 128 * 128


def test_a_process_that_is_killed_is_said_in_one_sentence(eager):
    assert [*prefetch_in_processes(operator.neg, range(12), 2, "gone")] == [*range(0, -12, -1)]
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"
    with pytest.raises(UserError, match="^gone$"):
        list(prefetch_in_processes(exec, ["", "", "", killed, ""], 2, "gone"))


PARENT = """
import signal
import time
from slow import slow
from memtk import prefetch

signal.signal(signal.SIGINT, signal.default_int_handler)  # where what started us ignores it
print("begun", flush=True)  # once, though nothing says that it is the main module's to do
prefetch.PAYS, prefetch.TRIED, prefetch.ALONE = -1.0, 2, 0.0
for key in prefetch.prefetch_in_processes(slow, range(10000), 2, "gone"):
    print(key, flush=True)
"""

SLOW = """
import time

def slow(key):
    time.sleep(0.05 if key > 1 else 0)
    return key
"""


def runs(process):
    """Whether a process has not ended; that somebody asks how it did may take many seconds."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("way", ["killed", "interrupted"])
@pytest.mark.skipif(sys.platform == "win32", reason="sends the signals of POSIX")
def test_processes_end_with_the_one_that_started_them(tmp_path, way):
    (tmp_path / "parent.py").write_text(PARENT)
    (tmp_path / "slow.py").write_text(SLOW)
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "parent.py")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    lines = [process.stdout.readline().strip() for _ in range(6)]
    assert lines == ["begun", "0", "1", "2", "3", "4"]
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) >= 2
    if way == "killed":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to all of them
    process.wait(60)
    until = time.monotonic() + 60
    while (left := [*filter(runs, workers)]) and time.monotonic() < until:
        time.sleep(0.02)
    assert not left
    if way == "interrupted":
        assert process.stderr.read().count("Traceback") == 1  # its own
