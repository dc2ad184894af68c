"""Four times as many files, rows or patients take about four times the calls, none quadratic."""

import csv

import h5py
import imageio.v3 as imageio
import numpy as np
import pytest

from memtk.config import build
from memtk.data.checks.examination import examine
from memtk.data.config import DataConfig
from memtk.data.prepare import prepare

FEW, TIMES = 60, 4
SIZES = {"warm": 9, "few": FEW, "many": TIMES * FEW}
"""What is loaded once is loaded for the first, which is not counted."""


def pictures(folder, count):
    """Write pictures of as many patients into one folder."""
    folder.mkdir()
    for number in range(count):
        x = np.random.default_rng(number).integers(0, 256, (8, 8), dtype=np.uint8)
        imageio.imwrite(folder / f"p{number}_1.png", x)
    return folder


def deep(folder, count):
    """Write pictures into a folder a patient."""
    for path in pictures(folder, count).glob("*.png"):
        (folder / path.stem).mkdir()
        path.rename(folder / path.stem / path.name)
    return folder


def manifest(folder, count):
    """Write pictures and a manifest of them."""
    paths = sorted(pictures(folder, count).glob("*.png"))
    return listed(folder, [(path.name, "") for path in paths])


def rows_of_npz(folder, count):
    """Write a manifest that names rows of one array."""
    folder.mkdir()
    np.savez_compressed(folder / "all.npz", images=stack(count))
    return listed(folder, [("all.npz", f"images/{row}") for row in range(count)])


def rows_of_fortran(folder, count):
    """Write one array whose rows are scattered over the file."""
    folder.mkdir()
    np.savez(folder / "all.npz", images=np.asfortranarray(stack(count)))
    return folder / "all.npz"


def rows_of_hdf5(folder, count):
    """Write one dataset of all images."""
    folder.mkdir()
    with h5py.File(folder / "all.h5", "w") as file:
        file["images"] = stack(count)
    return folder / "all.h5"


def stack(count):
    return np.random.default_rng(0).integers(0, 256, (count, 8, 8), dtype=np.uint8)


def listed(folder, items):
    path = folder / "list.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "item", "patient_id", "split", "site"])
        for number, (name, item) in enumerate(items):
            split = "val" if number % 3 == 0 else "train"
            writer.writerow([name, item, f"P{number}", split, f"site {number % 2}"])
    return path


MANY = [pictures, deep, manifest, rows_of_npz, rows_of_fortran, rows_of_hdf5]


@pytest.mark.parametrize("write", MANY, ids=lambda write: write.__name__)
def test_four_times_the_images_are_prepared_and_checked_in_four_times_the_calls(
    write, registry, tmp_path, calls
):
    counts = {}
    for what in SIZES:
        source = write(tmp_path / what, SIZES[what])
        keys = {"stratify": "site", "condition": "site"} if source.suffix == ".csv" else {}
        config = build(DataConfig, {"source": str(source), **keys}, where="data")
        with calls() as preparing:
            prepare(config, tmp_path / f"made {what}", registry)
        with calls() as known:
            prepare(config, tmp_path / f"made {what}", registry)
        with calls() as checking:
            examine(config, registry)
        counts[what] = (preparing.count, known.count, checking.count)
    few, many = np.array(counts["few"]), np.array(counts["many"])
    assert (few > FEW).all()
    assert (many < 1.1 * TIMES * few).all(), (few, many)
