"""Arrays beside images that say whose each row is, and names in headers without a number."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

FOUND = "images are found"
SPLIT = "each patient is in one split"
TEXTS = np.array(list("aabbcc"))


@pytest.fixture
def save(tmp_path, image):
    """Save six images and arrays beside them: `save(".npz", patient=names)` gives the file."""

    def write(suffix, **beside):
        path = tmp_path / f"set{suffix}"
        if "train_images" not in beside:
            beside["images"] = np.stack([image(n) for n in range(6)])
        if suffix == ".npz":
            np.savez(path, **beside)
            return path
        with h5py.File(path, "w") as file:
            for name, array in beside.items():
                file[name] = array.astype(object) if array.dtype.kind == "U" else array
        return path

    return write


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
@pytest.mark.parametrize(
    ("name", "names"),
    [("patient", TEXTS), ("patient_ids", TEXTS.astype("S4")), ("subject", np.repeat([3, 7, 9], 2)),
     ("PatientID", np.repeat([3.0, 7.0, 9.0], 2)[:, None]), ("pid", TEXTS),
     ("patient", np.arange(6) // 2), ("patient", np.repeat(["0", "1", "00002"], 2))],
)  # fmt: skip
def test_an_array_beside_the_images_says_whose_each_is(save, check, suffix, name, names):
    groups, found = check(save(suffix, **{name: names}), validation=0.34)
    sizes = {n: (groups[n].images, groups[n].patients) for n in ("training", "validation")}
    assert sizes == {"training": (4, 2), "validation": (2, 1)}
    assert "shown as a code: 3 patients" in found[FOUND].found


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
@pytest.mark.parametrize(
    ("name", "names"),
    [("patient_age", np.repeat([50, 60, 70], 2)), ("train_patient", TEXTS),
     ("label", np.repeat([0, 1, 2], 2))],
)  # fmt: skip
def test_arrays_of_another_meaning_say_nothing(save, check, suffix, name, names):
    groups, found = check(save(suffix, **{name: names}), validation=0)
    assert groups["training"].patients == 6
    assert "nothing says whose the images are" in found[FOUND].found


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
@pytest.mark.parametrize(
    ("name", "names"),
    [("patient", np.arange(5)), ("patient_id", TEXTS[:5]), ("patients", np.eye(6)),
     ("subject", np.arange(12).reshape(6, 2)), ("pid", np.array(3)), ("pid", np.arange(6) * 1j)],
)  # fmt: skip
def test_an_array_that_is_to_say_whose_images_are_and_does_not_is_refused(
    save, check, suffix, name, names
):
    found = check(save(suffix, **{name: names}), validation=0)[1][FOUND]
    assert found.outcome == "refused" and f"{name}=names.astype(str)" in found.found
    assert f"{name}, which says whose the images are, " in found.found


@pytest.mark.parametrize("name", ["patient", "patient_ids", "subject"])
def test_pickled_names_of_patients_are_refused_and_never_loaded(save, check, name):
    found = check(save(".npz", **{name: TEXTS.astype(object)}), validation=0)[1][FOUND]
    assert (
        found.outcome == "refused"
        and f"{name}, which says whose the images are, is no text" in (found.found)
    )


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_a_patient_whom_the_arrays_of_two_splits_name_is_found(save, image, check, suffix):
    path = save(
        suffix,
        train_images=np.stack([image(n) for n in range(6)]),
        val_images=np.stack([image(n) for n in range(10, 14)]),
        train_patients=TEXTS,
        val_patients=np.array(["C", "d", "d", "e"]),
    )
    found = check(path)[1][SPLIT]
    assert found.outcome == "refused" and "1 of 5 patients" in found.found


@pytest.mark.parametrize(("number", "patients"), [("", 3), ("removed", 6), ("Q1", 1)])
def test_the_name_in_a_header_counts_where_there_is_no_number(
    tmp_path, dcm, image, check, number, patients
):
    for n in range(6):
        asked = {"patient": number, "PatientName": f"Doe^J{n // 2}", "series": f"1.2.{n}"}
        dcm(tmp_path / f"{n}.dcm", image(n, top=4000, dtype=np.uint16), modality="DX", **asked)
    groups, found = check(tmp_path, validation=0)
    assert groups["training"].patients == patients and "Doe" not in found[FOUND].text()


@pytest.mark.parametrize("name", ["a.npz", "a.npy"])
def test_an_array_that_counts_as_one_image_is_said_to_do_so(tmp_path, check, image, name):
    whole = image(1, (50, 32, 32))
    (np.savez if name == "a.npz" else np.save)(tmp_path / name, whole)
    said = (
        f"{name} counts as one image, of 50 x 32 x 32: if many are in its array, call that images"
    )
    assert said in check(tmp_path / name)[1][FOUND].found
    np.savez(tmp_path / "b.npz", images=whole)
    assert "counts as one image" not in check(tmp_path / "b.npz")[1][FOUND].found
