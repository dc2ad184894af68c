import pytest

from memtk.data.checks import Findings, check_splits, suggested_shape
from memtk.data.sample import Sample
from memtk.errors import UserError


def samples(*pairs):
    return [Sample(f"{i}.png", patient, split) for i, (patient, split) in enumerate(pairs)]


def test_patients_in_two_splits_are_counted_and_named():
    rows = [(f"P{i}", split) for i in range(7) for split in ("training", "validation")]
    with pytest.raises(UserError) as caught:
        check_splits(samples(*rows, ("P0", "held_out"), ("Q", "training")))
    text = str(caught.value)
    assert text.startswith("7 of 8 patients are in more than one split")
    assert "6 in training and validation, 1 in training and validation and held out" in text
    assert "P0, P1, P2, P3, P4 and 2 more" in text


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", "training"), ("b", "held_out")], "no validation set: 1 training, 1 held out"),
        ([("a", "validation")], "no training images: 1 validation"),
        ([], "no training images: none"),
    ],
)
def test_an_empty_split_is_refused_with_a_way_out(rows, message):
    with pytest.raises(UserError, match=message):
        check_splits(samples(*rows))


def test_good_splits_pass():
    check_splits(samples(("a", "training"), ("a", "training"), ("b", "validation")))


def test_the_suggested_shape_is_the_median_in_multiples_of_eight():
    sizes = {(1, 31, 40, 3): ["a"], (1, 37, 51, 3): ["b", "c"], (1, 60, 52, 4): ["d", "e"]}
    assert suggested_shape(sizes) == (40, 48, 8)


def test_different_sizes_are_listed_with_the_shape_that_fits():
    found = Findings()
    for i, shape in enumerate([(1, 35, 51), (1, 35, 51), (1, 37, 54)]):
        found.add_image(Sample(f"{i}.png", str(i), "training"), shape, bytes([i]))
    (text,) = found.errors(3)
    assert text.startswith("the images have 2 sizes: 35x51 (2, e.g. 0.png), 37x54 (1, e.g. 2.png)")
    assert text.endswith("--set data.shape=32,48")


def test_images_of_different_kinds_get_no_shape_suggested():
    found = Findings()
    for i, shape in enumerate([(1, 8, 8), (1, 8, 8, 8), (2, 8, 8)]):
        found.add_image(Sample(f"{i}.png", str(i), "training"), shape, bytes([i]))
    (text,) = found.errors(3)
    assert "8x8, 2 channels" in text and "data.shape" not in text


def test_the_same_image_in_two_splits_is_an_error_and_in_one_a_note():
    found = Findings()
    for i, (split, digest) in enumerate(
        [("training", b"x"), ("validation", b"x"), ("training", b"y"), ("training", b"y")]
    ):
        found.add_image(Sample(f"{i}.png", str(i), split), (1, 8, 8), digest)
    (text,) = found.errors(4)
    assert (
        "identical images in more than one split (1): 0.png [training] = 1.png [validation]" in text
    )
    assert found.notes() == ["identical images within training (1): 2.png = 3.png"]


def test_every_kind_of_problem_is_said_at_once():
    found = Findings(
        unreadable=[f"cannot read {i}: broken" for i in range(7)],
        nonfinite=["a.nii (3 of 9)"],
        blank=["b.png (all 0)"],
        color=["c.png"],
    )
    text = "\n".join(found.errors(20))
    assert "unreadable, 7 of 20 images:\ncannot read 0: broken" in text and "and 2 more" in text
    assert "NaN or infinite voxels, 1 of 20 images: a.nii (3 of 9)" in text
    assert "blank, 1 of 20 images: b.png (all 0)" in text
    assert "--set data.color=gray" in text
