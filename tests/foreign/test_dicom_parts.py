"""Series of DICOM whose slices lie in several folders."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

FOUND = "images are found"


def only(groups):
    return {k: (g.images, g.patients, g.shapes) for k, g in groups.items() if g.images}


@pytest.mark.parametrize("places", [("a", "b"), ("a", "a/rest"), ("train", "val")], ids=str)
def test_one_series_in_two_folders_is_refused_and_names_both(tmp_path, image, dcm, check, places):
    for i in range(6):
        dcm(tmp_path / places[i // 3] / f"{i}.dcm", image(i, (24, 20), 1000, np.int16),
            number=i + 1, at=(0, 0, 2.0 * i))  # fmt: skip
    found = check(tmp_path, validation=0)[1][FOUND]
    assert found.outcome == "refused" and "one series lie in 2 folders" in found.found
    assert all(str(tmp_path / place) in found.found for place in places)


# slices of one series: folder, number and position of each
PARTS = {
    "without numbers": [(i // 3, None, 2.0 * i) for i in range(6)],
    "both numbered from 1": [(i // 3, i % 3 + 1, 2.0 * i) for i in range(6)],
    "both from 1, without positions": [(i // 3, i % 3 + 1, None) for i in range(6)],
    "numbered on, without positions": [(i // 3, i + 1, None) for i in range(6)],
    "overlapping": [(f, i + 1, 2.0 * i) for f, some in ((0, range(4)), (1, range(2, 6)))
                    for i in some],
    "every second": [(i % 2, i + 1, 2.0 * i) for i in range(6)],
    "a slice a folder": [(i, 1, 2.0 * i) for i in range(8)],
    "a slice a folder, without positions": [(i, i, None) for i in range(8)],
    "one has no positions": [(i // 3, i + 1, 2.0 * i if i < 3 else None) for i in range(6)],
}  # fmt: skip


def write_parts(folder, image, dcm, slices, patient="Q1"):
    for k, (part, number, z) in enumerate(slices):
        dcm(folder / f"part{part}" / f"{k}.dcm", image(k, (24, 20), 1000, np.int16), number=number,
            at=None if z is None else (0, 0, z), patient=patient)  # fmt: skip


@pytest.mark.parametrize("of", PARTS)
def test_parts_of_one_series_in_several_folders_are_refused(tmp_path, image, dcm, check, of):
    write_parts(tmp_path / "d", image, dcm, PARTS[of])
    count = len({part for part, *_ in PARTS[of]})
    found = check(tmp_path / "d", validation=0)[1][FOUND]
    assert found.outcome == "refused" and f"one series lie in {count} folders" in found.found
    rows = "".join(f"d/part{part},7\n" for part in range(count))
    (tmp_path / "m.csv").write_text("path,patient_id\n" + rows)
    assert check(tmp_path / "m.csv", validation=0)[1][FOUND].outcome == "refused"


@pytest.mark.parametrize("of", ["both numbered from 1", "overlapping", "without numbers"])
def test_a_manifest_tells_volumes_of_one_number_apart(tmp_path, image, dcm, check, of):
    write_parts(tmp_path / "d", image, dcm, PARTS[of], patient="")
    rows = "".join(f"d/part{part},{part}\n" for part in (0, 1))
    (tmp_path / "m.csv").write_text("path,patient_id\n" + rows)
    assert check(tmp_path / "m.csv", validation=0)[0]["training"].patients == 2


def test_a_series_of_two_times_or_there_twice_is_two_volumes(tmp_path, image, dcm, check):
    for part in (0, 1):
        slices = [(part, i + 1, 2.0 * i) for i in range(4)]
        write_parts(tmp_path / "d", lambda k, *how: image(9 * part + k, *how), dcm, slices)  # noqa: B023
    groups, _ = check(tmp_path / "d", validation=0)
    assert only(groups) == {"training": (2, 1, ((4, 24, 20),))}
    write_parts(tmp_path / "e", image, dcm, [(0, i + 1, None) for i in range(4)])
    shutil.copytree(tmp_path / "e/part0", tmp_path / "e/part1")
    assert only(check(tmp_path / "e", validation=0)[0]) == {"training": (2, 1, ((4, 24, 20),))}


@pytest.mark.parametrize("said", ["PatientID", "StudyInstanceUID", "neither"])
@pytest.mark.parametrize(
    "of", ["both numbered from 1", "numbered on, without positions", "every second",
           "a slice a folder", "a slice a folder, without positions"],
)  # fmt: skip
def test_parts_of_a_series_without_a_number_are_refused_where_they_make_one_stack(
    tmp_path, image, dcm, check, of, said
):
    study = {"StudyInstanceUID": "1.2.9"} if said == "StudyInstanceUID" else {}
    for k, (part, number, z) in enumerate(PARTS[of]):
        dcm(tmp_path / "d" / f"part{part}" / f"{k}.dcm", image(k, (24, 20), 1000, np.int16),
            number=number, at=None if z is None else (0, 0, z), drop=("SeriesInstanceUID",),
            patient="Q1" if said == "PatientID" else "", **study)  # fmt: skip
    found = check(tmp_path / "d", validation=0)[1][FOUND]
    if said == "neither" and "slice" in of:  # single slices that may be anybody's
        assert found.outcome != "refused"
    else:
        assert found.outcome == "refused" and "the slices of one series lie in" in found.found


@pytest.mark.parametrize("start", [0.0, 3.0, 700.0])
def test_volumes_without_a_number_that_make_no_stack_are_volumes(
    tmp_path, image, dcm, check, start
):
    for part in (0, 1):
        for i in range(4):
            dcm(tmp_path / f"d/part{part}/{i}.dcm", image(9 * part + i, (24, 20), 1000, np.int16),
                number=i + 1, at=(0, 0, part * start + 2.0 * i), drop=("SeriesInstanceUID",),
                patient="")  # fmt: skip
    assert only(check(tmp_path / "d", validation=0)[0]) == {"training": (2, 2, ((4, 24, 20),))}


@pytest.mark.parametrize(
    ("modality", "step", "count", "refused"),
    [("CT", 2.0, 6, True), ("MR", -3.5, 3, True), ("PT", 4.0, 12, True), ("CT", 2.0, 2, False),
     ("DX", 2.0, 6, False), ("CT", 0.0, 6, False), ("US", 2.0, 6, False)],
)  # fmt: skip
def test_slices_of_one_volume_with_a_series_each_are_refused(
    tmp_path, image, dcm, check, modality, step, count, refused
):
    voxels = image(1, (count, 32, 32), 1000, np.int16)
    for z in range(count):
        asked = {"series": f"1.2.{z}", "number": z + 1, "modality": modality}
        dcm(tmp_path / "s" / f"{z}.dcm", voxels[z], at=(0, 0, step * z), **asked)
    found = check(tmp_path / "s", validation=0)[1]["images are found"]
    assert (found.outcome == "refused") == refused
    assert ("each says a series of its own" in found.found) == refused
    rows = "".join(f"{z}.dcm,Q1\n" for z in range(count))
    (tmp_path / "s" / "m.csv").write_text(f"path,patient_id\n{rows}")
    assert check(tmp_path / "s" / "m.csv", validation=0)[0]["training"].images == count


def test_slices_that_make_no_even_stack_are_pictures_of_their_series(tmp_path, image, dcm, check):
    for z, at in enumerate((0.0, 2.0, 9.0, 4.5)):
        px = image(z, top=1000, dtype=np.int16)
        dcm(tmp_path / f"{z}.dcm", px, series=f"1.2.{z}", at=(0, 0, at))
    for p in range(4):  # of several patients, as a set of key slices has them
        px = image(9 + p, top=1000, dtype=np.int16)
        dcm(tmp_path / f"k{p}.dcm", px, series=f"1.3.{p}", at=(0, 0, 2.0 * p), patient=f"K{p}")
    assert check(tmp_path, validation=0)[0]["training"].images == 8
