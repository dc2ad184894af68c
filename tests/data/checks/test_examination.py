"""`examine`: all checks of all images, in one pass, with nothing written."""

import shutil

import imageio.v3 as imageio
import numpy as np
import pytest

from memtk.config import build
from memtk.data.checks.examination import Examination, examine
from memtk.data.checks.findings import Group
from memtk.data.config import DataConfig
from memtk.data.sources import open_source
from memtk.interfaces import Volume


@pytest.fixture
def examined(registry):
    def run(source, **keys):
        events = []
        config = build(DataConfig, {"source": str(source), **keys}, where="data")
        return examine(config, registry, events.append), events

    return run


def outcomes(report, wanted):
    return [f.check for f in report.findings if f.outcome == wanted]


def test_good_images_are_accepted_and_counted(examined, write_manifest):
    path = write_manifest([("a", "P1", "train"), ("b", "P1", "train"), ("c", "P2", "val")])
    report, events = examined(path)
    assert report.accepted and not outcomes(report, "note")
    assert report.groups == {
        "training": Group(2, 1, ((8, 8),), (1, 1)),
        "validation": Group(1, 1, ((8, 8),), (1, 1)),
        "held_out": Group(0, 0),
    }
    assert [e.kind for e in events] == ["start", "step", "step", "step", "end"]


def test_nothing_is_written(examined, write_manifest, tmp_path):
    path = write_manifest([("a", "P1", "train"), ("b", "P2", "val")])
    before = sorted(tmp_path.rglob("*"))
    examined(path)
    assert sorted(tmp_path.rglob("*")) == before


def test_all_that_is_wrong_is_found_in_one_pass(examined, write_manifest, ready):
    rows = [(x, "P1" if x in "ab" else f"P{x}", "val" if x == "b" else "train") for x in "abcdef"]
    path = write_manifest(rows)
    folder = path.parent
    shutil.copy(folder / "c.png", folder / "b.png")
    imageio.imwrite(folder / "d.png", np.full((8, 8), 7, np.uint8))
    imageio.imwrite(folder / "e.png", np.arange(90, dtype=np.uint8).reshape(9, 10))
    (folder / "f.png").write_bytes(b"\x89PNG")
    report, _ = examined(path)
    assert not report.accepted
    assert outcomes(report, "refused") == [
        "each patient is in one split",
        "images can be read",
        "no image is blank",
        "all images have one size",
        "no image is in two splits",
    ]
    assert report.groups["training"].shapes == ((8, 8), (9, 10))


def test_images_that_cannot_even_be_listed_are_one_finding(examined, tmp_path):
    report, events = examined(tmp_path / "gone")
    (one,) = report.findings
    assert one.outcome == "refused" and "no such file or folder" in one.found
    assert report.groups == {} and events == []


def test_what_the_listing_says_is_a_note(examined, write_pngs):
    report, _ = examined(write_pngs(["train/a", "val/b"]))
    assert report.accepted
    assert "each of the 2 counts as a patient of its own" in report.findings[0].found
    assert report.findings[0].outcome == report.findings[1].outcome == "note"


def test_synthetic_images_are_compared_with_the_real_ones(examined, write_pngs, tmp_path):
    real = write_pngs([f"{part}/{i}" for part in ("train", "val") for i in range(6)])
    made = write_pngs([f"{i}" for i in range(5)], folder=tmp_path / "made", seed=7)
    shutil.copy(real / "train/3.png", made / "9.png")
    report, _ = examined(real, synthetic_source=str(made))
    (copied,) = [f for f in report.findings if "voxel by voxel" in f.check]
    assert report.accepted and copied.outcome == "note"
    assert "1 of 6 synthetic images is identical to a training image" in copied.found
    assert "made/9.png = images/train/3.png" in copied.found
    assert report.groups["synthetic"] == Group(6, 0, ((8, 8),), (1, 1))


def test_what_is_refused_is_what_prepare_refuses(examined, ready, write_pngs, tmp_path):
    from memtk.errors import UserError

    real = write_pngs([f"{part}/{i}" for part in ("train", "val") for i in range(3)])
    made = write_pngs(["x"], folder=tmp_path / "made", shape=(8, 9))
    report, _ = examined(real, synthetic_source=str(made))
    (refused,) = [f for f in report.findings if f.outcome == "refused"]
    with pytest.raises(UserError) as caught:
        ready(real, synthetic_source=str(made))
    assert str(caught.value) == refused.text()


def test_the_leaky_split_is_refused_with_the_shared_patients_and_the_other_accepted(
    examined, real_data
):
    folder = real_data / "chest_xray_64"
    leaky, _ = examined(folder / "manifest_leaky.csv")
    assert outcomes(leaky, "refused") == ["each patient is in one split"]
    assert leaky.findings[1].found.startswith("30 of 264 patients are in more than one split")
    assert len(leaky.findings[1].names) == 30
    good, _ = examined(folder / "manifest.csv")
    assert good.accepted and good.findings[1].found == "264 patients, none in two splits"


def test_the_real_pair_of_identical_pictures_is_found(examined, real_data):
    report, _ = examined(real_data / "chest_xray_256" / "manifest.csv")
    (twice,) = [f for f in report.findings if f.check == "no image is there twice"]
    assert report.accepted and twice.outcome == "note"
    assert twice.names == ("images/00002658_001.png", "images/00002658_002.png")


def test_an_image_without_voxels_or_of_strange_axes_is_refused(write_manifest, registry):
    config = DataConfig(source=str(write_manifest([("a", "P1", "train"), ("b", "P2", "val")])))
    source = open_source(config, registry)
    source.load = lambda sample: Volume(np.zeros((1, 0, 4) if "a" in sample.name else (4, 4)), ())
    examination = Examination(config)
    assert [made for _, made in examination.read(source)] == [None, None]
    (refused,) = [f for f in examination.findings() if f.outcome == "refused"]
    assert "a.png has the shape (1, 0, 4)\nb.png has the shape (4, 4)" in refused.found
    assert not examination.one_size
