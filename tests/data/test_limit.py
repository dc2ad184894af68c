from __future__ import annotations

import pytest


@pytest.fixture
def many(write_manifest):
    """30 patients with two images each; a third of them marked for validation."""
    rows = [
        (f"p{n:02d}_{i}", f"p{n:02d}", "val" if n % 3 == 0 else "train")
        for n in range(30)
        for i in (1, 0)
    ]
    return write_manifest(rows)


def counts(dataset):
    return {split: (c["images"], c["patients"]) for split, c in dataset.counts().items()}


def test_as_many_patients_of_each_split_are_used_as_is_said(many, ready):
    dataset, events = ready(many, limit={"training": 7, "validation": 3})
    assert counts(dataset) == {"training": (14, 7), "validation": (6, 3), "held_out": (0, 0)}
    assert any("20 of 60 images are used: 14 training, 6 validation" in e.text for e in events)


def test_a_smaller_number_draws_some_of_a_larger_one(many, ready):
    few, more = (
        set(ready(many, limit={"training": n})[0].split("training").patients) for n in (4, 9)
    )
    assert len(few) == 4 and len(more) == 9 and few < more


def test_of_a_patient_the_first_images_by_name_are_used(many, ready):
    every, _ = ready(many)
    first, _ = ready(many, limit={"images_per_patient": 1})
    assert counts(first)["training"] == (20, 20)
    second_rows = list(range(1, 40, 2))  # the manifest names ..._1 before ..._0
    assert (
        first.split("training").read(range(20)) == every.split("training").read(second_rows)
    ).all()


def test_without_a_limit_nothing_is_left_out_or_said(many, ready):
    dataset, events = ready(many)
    assert counts(dataset)["training"] == (40, 20)
    assert not [e for e in events if "limit" in e.text]


def test_patients_are_split_anew_whatever_the_data_say(many, ready):
    dataset, events = ready(many, resplit=True, validation=0.5, held_out=0.2)
    assert counts(dataset) == {"training": (18, 9), "validation": (30, 15), "held_out": (12, 6)}
    assert any("60 images is not used: resplit" in e.text for e in events)
