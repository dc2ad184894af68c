"""Files of phantoms: training and validation patients, strangers, and copies in the middle."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from memtk.auditing import make_audit_plan, run_audit
from memtk.imaging.phantoms import phantom
from memtk.results import Policy

SIZE, PATIENTS, STRANGERS, COPIES, PLANTS = 24, 40, 20, 10, 10


def image(patient):
    return phantom(0, patient, 0, dims=2, size=SIZE)[0]


def write(folder, numbers, make=image):
    folder.mkdir(parents=True)
    for row, number in enumerate(numbers):
        np.save(folder / f"{row:03d}.npy", make(number))
    return folder


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """Folders train, val, made and clean; the first COPIES of made are copies of training images.

    A copy has other contrast and a little noise. clean holds strangers alone.
    """
    root = tmp_path_factory.mktemp("images")
    write(root / "train", range(PATIENTS))
    write(root / "val", range(1200, 1200 + PATIENTS))
    strangers = range(2000, 2000 + STRANGERS)
    write(root / "clean", strangers)
    rng = np.random.default_rng(0)

    def made(number):
        x = image(number)
        if number >= 2000:
            return x
        return np.clip(np.sign(x) * np.abs(x) ** 1.1 + rng.normal(0, 0.01, x.shape), -1, 1)

    write(root / "made", [*range(COPIES), *strangers], made)
    with open(root / "manifest.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "patient_id", "split"])
        for split in ("train", "val"):
            for row in range(PATIENTS):
                # two images of one patient, but for the first ten patients
                whose = row if row < 10 else 10 + (row - 10) // 2
                writer.writerow([f"{split}/{row:03d}.npy", f"{split}-{whose}", split])
    return root


def sources(files, synthetic="made"):
    return {
        "source": str(files / "train"),
        "validation_source": str(files / "val"),
        "synthetic_source": str(files / synthetic),
    }


@pytest.fixture(scope="session")
def audited(files, registry):
    """`audited(folder, synthetic, **options)`: a finished audit in image space."""

    def run(folder, synthetic="made", policy=None, resume=True, data=None, sets=(), **options):
        asked = {"similarity": "ncc", "plants": PLANTS, **options}
        plan = make_audit_plan(registry, asked, data=data or sources(files, synthetic), sets=sets)
        return run_audit(
            plan, registry, policy=policy or Policy(), out=folder, device="cpu", resume=resume
        )

    return run


@pytest.fixture(scope="session")
def failed(audited, tmp_path_factory):
    return audited(tmp_path_factory.mktemp("runs") / "failed")


@pytest.fixture(scope="session")
def clean(audited, tmp_path_factory):
    return audited(tmp_path_factory.mktemp("runs") / "clean", "clean")


@pytest.fixture(scope="session")
def truth():
    """How many patients, strangers and copies the files hold, and how many copies are planted."""
    return {"patients": PATIENTS, "strangers": STRANGERS, "copies": COPIES, "plants": PLANTS}
