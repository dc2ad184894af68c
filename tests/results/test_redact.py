from __future__ import annotations

import pytest

from memtk.results.redact import HIDDEN, named, names_something, redact, redact_settings

PLACES = [
    "/home/me/net.pt",
    "~/data",
    "../data/manifest.csv",
    "C:\\data\\one.nii",
    "data/patients/one.nii.gz",
    "file:///tmp/x",
    "anna.dcm",
    "weights at /mnt/disk/w.safetensors.",
    "\\\\server\\share",
]
NUMBERS = ["patient 1234567", "1.2.840.113619.2.5.1762583153", "MRN-00482913"]
HARMLESS = [
    "monai3d",
    "toy/copycat",
    "org/model-1.5",
    "p <= alpha / 2",
    "2.13.0+cpu",
    "https://example.org/weights.pt",
    "n_mem/N",
    "as made",
    "3f2a9b8c7d6e5f40112233",
    HIDDEN,
    "",
]


@pytest.mark.parametrize("text", PLACES)
def test_a_path_is_found_wherever_it_stands(text):
    [found] = named({"config": {"deep": [{"weights": text}], "steps": 100_000}})
    assert (found.where, found.what, found.text) == ("config.deep.weights", "a path", text)


@pytest.mark.parametrize("text", NUMBERS)
def test_what_may_be_a_patients_number_is_found(text):
    [found] = named({"notes": [text]})
    assert found.what == "what may be a patient's number"


@pytest.mark.parametrize("text", HARMLESS)
def test_other_texts_are_left_alone(text):
    assert not named({"notes": {"x": text}})
    assert redact({"notes": {"x": text}}) == {"notes": {"x": text}}


def test_whatever_stands_under_a_patients_key_is_a_patients():
    assert [n.where for n in named({"a": {"patient_id": "p7", "MRN": "x"}})] == [
        "a.patient_id",
        "a.MRN",
    ]


def test_numbers_of_versions_and_contents_are_nobodys():
    assert not named({"versions": {"x": "0.1.dev20260101"}, "data": {"fingerprint": "123456789"}})


def test_a_key_that_is_a_path_is_found():
    assert [n.text for n in named({"config": {"/home/me": 3}})] == ["/home/me"]


def test_what_is_hidden_is_found_no_more_and_the_rest_stays():
    tree = {"a": [PLACES[0], 3, None, {"b": NUMBERS[0]}], "c": "kept", "d": True}
    hidden = redact(tree)
    assert hidden == {"a": [HIDDEN, 3, None, {"b": HIDDEN}], "c": "kept", "d": True}
    assert not named(hidden)


@pytest.mark.parametrize(
    "text",
    ["/home/x", "C:\\data", "patient_17.nii.gz", "images/a", "net.pt", r"(\d+)_", "../x", "a.dcm"]
    + [*NUMBERS, "123456789", "https://example.org/weights.pt"],
)
def test_a_setting_that_may_name_a_file_or_a_patient_is_shown_nowhere(text):
    assert names_something(text)
    assert redact_settings({"a": [{"b": text}]}) == {"a": [{"b": HIDDEN}]}
    assert redact({"components": {"config": {"b": text}}, "data": {"recipe": text}}) == {
        "components": {"config": {"b": HIDDEN}},
        "data": {"recipe": HIDDEN},
    }


@pytest.mark.parametrize("text", ["monai3d", "auto", "0.5", "2.13.0", "as stored", "one-cycle", ""])
def test_plain_settings_are_shown(text):
    assert redact_settings({"a": (text, 1, None)}) == {"a": [text, 1, None]}


@pytest.mark.parametrize("value", ["p7", 17, 1.5])
def test_a_patient_is_hidden_whatever_the_type_of_his_number(value):
    assert redact_settings({"patient_id": value}) == {"patient_id": HIDDEN}
    assert redact({"patient_id": [value, None]}) == {"patient_id": [HIDDEN, None]}
