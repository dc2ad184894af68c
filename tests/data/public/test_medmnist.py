from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from memtk.data.public import catalogue
from memtk.data.public.catalogue import find_public, medmnist_sets
from memtk.errors import UserError


@pytest.fixture
def listed():
    sets = medmnist_sets()
    if not sets:
        pytest.skip("the package medmnist is not installed")
    return sets


def test_every_set_and_size_has_an_address_and_a_checksum(listed):
    assert {"medmnist/pneumoniamnist", "medmnist/organmnist3d_64"} <= set(listed)
    for name, each in listed.items():
        [file] = each.files
        assert each.name == name and each.top == file.name and not each.unpack
        assert file.url.startswith("https://") and file.name in file.url
        assert len(file.checksum) == len("md5:") + 32 and each.patients is None


def test_a_title_says_dimensions_size_and_colour(listed):
    assert listed["medmnist/organmnist3d"].title == "3D OrganMNIST3D, 28 x 28 x 28"
    assert listed["medmnist/bloodmnist_64"].title == "2D BloodMNIST, 64 x 64, colour"


def test_the_list_is_read_without_importing_the_package(tmp_path):
    code = (
        "import sys; from memtk.data.public.catalogue import medmnist_sets; medmnist_sets(); "
        "print([m for m in sys.modules if m.startswith(('medmnist', 'torch'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"HOME": str(tmp_path)}
    )
    assert done.stdout.strip() == "[]", done.stderr
    assert not list(tmp_path.iterdir())


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(catalogue, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'memtk\[medmnist\]'"):
        find_public("medmnist/pneumoniamnist")


def test_a_list_that_cannot_be_read_is_said(monkeypatch, tmp_path):
    (tmp_path / "info.py").write_text("INFO = open('/etc/passwd')\n")
    spec = type("Spec", (), {"submodule_search_locations": [str(tmp_path)]})
    monkeypatch.setattr(catalogue, "find_spec", lambda name: spec)
    with pytest.raises(UserError, match="no list of sets that can be read"):
        medmnist_sets()


def test_an_unknown_set_gets_the_nearest_name(listed):
    with pytest.raises(UserError, match="Did you mean 'medmnist/pneumoniamnist'"):
        find_public("medmnist/pneumonia")


def test_its_images_are_read_with_the_splits_as_published(listed, ready, tmp_path, monkeypatch):
    monkeypatch.setenv("MEMTK_DATA_HOME", str(tmp_path / "home"))
    folder = tmp_path / "home/medmnist/pneumoniamnist"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    stacks = {
        f"{part}_images": rng.integers(0, 255, (n, 28, 28), dtype=np.uint8)
        for part, n in (("train", 6), ("val", 4), ("test", 3))
    }
    np.savez(folder / "pneumoniamnist.npz", **stacks, train_labels=np.zeros((6, 1)))
    (folder / ".complete").touch()
    dataset, events = ready("public:medmnist/pneumoniamnist")
    counts = {split: c["images"] for split, c in dataset.counts().items()}
    assert counts == {"training": 6, "validation": 4, "held_out": 3}
    assert any("counts as a patient of its own" in e.text for e in events)
