from __future__ import annotations

import pytest

from memtk.report.provenance import as_text, flatten
from memtk.report.redaction import HIDDEN, names_something, redact


@pytest.mark.parametrize(
    "text",
    ["/home/x", "C:\\data", "patient_17.nii.gz", "images/a", "net.pt", r"(\d+)_", "../x", "a.dcm"],
)
def test_what_may_name_a_file_or_a_patient_is_hidden(text):
    assert names_something(text)
    assert redact({"a": [{"b": text}]}) == {"a": [{"b": HIDDEN}]}


@pytest.mark.parametrize("text", ["monai3d", "auto", "0.5", "2.13.0", "as stored", "one-cycle", ""])
def test_plain_settings_are_shown(text):
    assert redact({"a": (text, 1, None)}) == {"a": [text, 1, None]}


def test_settings_become_dotted_keys():
    settings = {"a": {"b": 1.5, "c": {"d": True}}, "e": [], "f": (1, 2), "g": None}
    assert flatten(settings) == [
        ("a.b", "1.5"),
        ("a.c.d", "true"),
        ("e", ""),
        ("f", "1, 2"),
        ("g", "none"),
    ]


def test_a_number_is_written_without_loss():
    for value in (1e-4, 0.1 + 0.2, 1 / 3, 2.0, 1e30):
        assert float(as_text(value)) == value
