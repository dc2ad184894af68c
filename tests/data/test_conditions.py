"""Columns of the manifest that a conditional generator is told."""

import numpy as np
import pytest
import torch

from memtk.data.conditions import (
    drawn_conditions,
    group_names,
    groups_of,
    make_condition,
    read_conditions,
)
from memtk.data.images import open_images, write_images
from memtk.errors import UserError
from memtk.imaging.phantoms import phantom
from memtk.interfaces import Condition, ImageSpec

ROWS = (
    ("a", "P1", "train", "PA", "30"),
    ("b", "P2", "val", "AP", "41.5"),
    ("c", "P3", "train", "AP", "50"),
    ("d", "P4", "test", "AP", "60"),
)


@pytest.fixture
def write_views(write_pngs, tmp_path):
    """Write PNGs and their manifest with the columns View and age; return it."""

    def write(rows=ROWS):
        write_pngs([row[0] for row in rows])
        lines = [f"{row[0]}.png,{','.join(row[1:])}" for row in rows]
        path = tmp_path / "images" / "manifest.csv"
        path.write_text("\n".join(["path,patient_id,split,View,age", *lines]) + "\n")
        return path

    return write


def test_the_prepared_images_say_the_code_of_each(ready, write_views):
    dataset, _ = ready(write_views(), condition=["View", "age:numbers"])
    view, age = dataset.spec.conditions
    assert view == Condition("view", ("AP", "PA"))
    assert (age.mean, age.spread) == (40, 10)  # of the training images alone
    assert dataset.split("training").conditions.tolist() == [[1, -1], [0, 1]]
    assert dataset.split("training").subset([1]).conditions.tolist() == [[0, 1]]
    assert dataset.split("validation").conditions.tolist() == [[0, pytest.approx(0.15)]]
    assert [each["name"] for each in dataset.recipe()["conditions"]] == ["view", "age"]


def test_another_value_is_another_fingerprint_and_no_column_is_the_old_one(ready, write_views):
    plain, _ = ready(write_views())
    assert plain.split("training").conditions is None and plain.spec.conditions == ()
    assert "condition" not in plain.config.model_dump()
    told, _ = ready(write_views(), condition=["view"])
    changed, _ = ready(
        write_views((*ROWS[:2], ("c", "P3", "train", "PA", "50"), ROWS[3])), condition=["view"]
    )
    assert len({plain.fingerprint, told.fingerprint, changed.fingerprint}) == 3


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["viev"], "data.condition = viev: there is no such column; the manifest has age, view"),
        (["view:numbers"], "data.condition = view:numbers, but 'PA' is none"),
    ],
)
def test_a_column_that_cannot_be_told_is_refused(ready, write_views, columns, message):
    with pytest.raises(UserError, match=message):
        ready(write_views(), condition=columns)


def test_spellings_are_of_one_word_and_of_one_number(ready, write_views):
    rows = (*ROWS[:3], ("d", "P4", "test", "ap", "30.0"))
    assert ready(write_views(rows), condition=["age:numbers"])
    with pytest.raises(UserError, match="'AP' and 'ap' are one value in several spellings"):
        ready(write_views(rows), condition=["view"])


def test_an_image_without_a_value_is_refused_by_name(ready, write_views):
    rows = (*ROWS[:3], ("d", "P4", "test", "", "60"))
    with pytest.raises(UserError, match=r"1 of 4 images have no value there: .*d\.png"):
        ready(write_views(rows), condition=["view"])


def test_few_numbers_are_classes_in_the_order_of_their_size():
    assert make_condition("label", "", ["10", "9", "9"], ["9"]).words == ("9", "10")
    many = [str(n) for n in range(30)]
    assert make_condition("age", "", many, many[:10]).words == ()
    assert make_condition("age", "words", many, many).words == tuple(many)
    with pytest.raises(UserError, match="201 different words"):
        make_condition("name", "", [f"w{n}" for n in range(201)], [])


@pytest.mark.parametrize("form", ["{},5", "0{}Y", "{} kg", "-{},25", "{}%"])
def test_numbers_with_commas_or_units_are_no_words(form):
    values = [form.format(n) for n in range(30, 60)]
    with pytest.raises(UserError, match="looks like a number with a comma or a unit.*age:words"):
        make_condition("age", "", values, values)
    assert len(make_condition("age", "words", values, values).words) == 30
    assert len(make_condition("age", "", values[:5], values[:5]).words) == 5
    with pytest.raises(UserError, match="is none, as 63.5 is"):
        make_condition("age", "numbers", values, values)


def test_many_words_that_begin_with_numbers_are_words():
    values = [f"{n}th ward-{n}" for n in range(30)]
    assert len(make_condition("ward", "", values, values).words) == 30


def test_samples_have_the_shares_of_the_training_set():
    training = torch.tensor([[0.0]] * 30 + [[1.0]] * 10)
    for count in (40, 120):
        drawn = drawn_conditions(training, count, seed=3)
        assert drawn.sum() == count / 4
    assert torch.equal(drawn_conditions(training, 120, 3)[:40], drawn_conditions(training, 40, 3))
    assert not torch.equal(drawn_conditions(training, 40, 3), drawn_conditions(training, 40, 4))


def test_a_file_says_what_the_samples_are_to_be(tmp_path):
    path, view = tmp_path / "wanted.csv", Condition("view", ("AP", "PA"))
    path.write_text("note,View\nx,PA\ny,PA\nz,AP\n")
    assert read_conditions(path, [view], 5).flatten().tolist() == [1, 1, 0, 1, 1]
    path.write_text("view\nPA\nlateral\n")
    with pytest.raises(UserError, match=r"wanted.csv: line 3: view = 'lateral'.*AP, PA"):
        read_conditions(path, [view], 5)
    path.write_text("sex\nF\n")
    with pytest.raises(UserError, match="has no column 'view'; it has sex"):
        read_conditions(path, [view], 5)
    path.write_text("view\n")
    with pytest.raises(UserError, match="no line below its header"):
        read_conditions(path, [view], 5)
    with pytest.raises(UserError, match="cannot read"):
        read_conditions(tmp_path / "none.csv", [view], 5)


def test_written_samples_keep_what_they_were_to_be(tmp_path):
    view, codes = Condition("view", ("AP", "PA")), torch.tensor([[1.0], [0.0]])
    spec = ImageSpec((4, 4), conditions=(view,))
    made = write_images(tmp_path / "a.h5", [torch.zeros(2, 1, 4, 4)], 2, spec, codes)
    assert made.spec.conditions == (view,) and torch.equal(made.conditions, codes)
    again = open_images(tmp_path / "a.h5").subset([1])
    assert again.conditions.tolist() == [[0.0]]
    plain = write_images(tmp_path / "b.h5", [torch.zeros(2, 1, 4, 4)], 2, spec)
    assert plain.conditions is None and plain.spec.conditions == ()


def test_images_are_grouped_by_word_and_numbers_by_the_training_median():
    conditions = (Condition("view", ("AP", "PA")), Condition("age", mean=50, spread=10))
    training = torch.tensor([[0.0, -1.0], [0.0, 0.0], [1.0, 1.0]])
    assert group_names(conditions, training) == [
        ("view", "AP"),
        ("view", "PA"),
        ("age", "up to 50"),
        ("age", "above 50"),
    ]
    rows = groups_of(conditions, torch.tensor([[1.0, 0.5], [0.0, 0.0]]), training)
    assert [each.tolist() for each in rows] == [
        [False, True],
        [True, False],
        [False, True],
        [True, False],
    ]


def test_phantoms_are_told_by_their_lesions_and_stay_as_they_are(ready):
    sizes = {"size": 16, "training": 6, "validation": 4}
    plain, _ = ready("phantom2d", phantom=sizes)
    told, _ = ready("phantom2d", phantom=sizes, condition=["lesions"])
    assert told.spec.conditions == (Condition("lesions", ("1", "2", "3")),)
    training = told.split("training")
    assert set(training.conditions.flatten().tolist()) <= {0.0, 1.0, 2.0}
    assert torch.equal(training.read(range(6)), plain.split("training").read(range(6)))
    assert np.array_equal(training.read([2])[0], phantom(0, 2, dims=2, size=16))
    with pytest.raises(UserError, match="phantoms have the condition lesions"):
        ready("phantom2d", phantom=sizes, condition=["view"])
