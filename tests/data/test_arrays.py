from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from memtk.data.arrays import ArrayConfig, array_images, held_in
from memtk.errors import UserError


@pytest.mark.parametrize(
    ("shape", "kept"),
    [
        ((4, 8, 9), (1, 8, 9)),
        ((4, 1, 8, 9), (1, 8, 9)),
        ((4, 8, 9, 1), (1, 8, 9)),
        ((4, 3, 8, 9), (3, 8, 9)),
        ((4, 8, 9, 3), (3, 8, 9)),
        ((4, 7, 8, 9), (1, 7, 8, 9)),
        ((4, 1, 7, 8, 9), (1, 7, 8, 9)),
        ((4, 1, 3, 8, 9), (1, 3, 8, 9)),
        ((4, 2, 7, 8, 9), (2, 7, 8, 9)),
        ((4, 7, 8, 9, 1), (1, 7, 8, 9)),
    ],
)
def test_channels_are_found_where_torch_and_where_files_have_them(shape, kept):
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    image = array_images("train", x).volume(1)
    assert image.voxels.shape == kept and image.spacing == (1.0,) * (len(kept) - 1)
    assert set(image.voxels.ravel()) == set(x[1].ravel())


def test_the_colours_of_a_picture_are_its_channels():
    x = np.arange(4 * 8 * 9 * 3).reshape(4, 8, 9, 3)
    assert np.array_equal(array_images("train", x).voxels(2)[1], x[2, ..., 1])


@pytest.mark.parametrize(
    "shape",
    [(64, 64, 3), (4, 3, 8, 3), (4, 1, 8, 3), (4, 8, 9, 2), (4, 2, 8, 9), (4, 8, 1, 9, 9)],
    ids=str,
)
def test_a_shape_that_could_be_two_things_is_refused_with_the_shapes_there_are(shape):
    with pytest.raises(UserError, match=r"synthetic: the shape .*\(N, 1, D, H, W\) for volumes"):
        array_images("synthetic", np.zeros(shape))


@pytest.mark.parametrize("x", [np.zeros(5), np.zeros((0, 8, 9)), np.full((2, 8, 9), "a"), 3, None])
def test_what_holds_no_images_is_refused(x):
    with pytest.raises(UserError, match=r"train: .* holds no images"):
        array_images("train", x)


def test_lists_and_tensors_of_any_kind_are_taken():
    x = torch.rand(3, 8, 9)
    for value in (list(x), [each.numpy() for each in x], x.requires_grad_(), x.bfloat16()):
        assert array_images("train", value).volume(2).voxels.shape == (1, 8, 9)
    assert array_images("train", np.ones((2, 8, 9), bool)).images.dtype == np.uint8
    with pytest.raises(UserError, match="train: the images differ in shape"):
        array_images("train", [np.zeros((8, 9)), np.zeros((9, 8))])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.ma.masked_less(np.ones((3, 8, 9)), 0.5), r"give train.filled\(0\)"),
        (torch.empty(3, 8, 9, device="meta"), "or are none"),
        (torch.rand(3, 8, 9).to_sparse(), "or are none"),
    ],
)
def test_arrays_whose_voxels_are_not_all_there_are_refused(value, words):
    with pytest.raises(UserError, match=words):
        array_images("train", value)


@pytest.mark.parametrize("patients", ["abc", b"abc", {"a", "b", "c"}, {"a": 0, "b": 1, "c": 2}])
def test_patients_without_an_order_or_a_word_are_no_list(patients):
    with pytest.raises(UserError, match="train_patients: give a list, the patient of each image"):
        array_images("train", np.random.rand(3, 8, 9), patients)


def test_patients_may_come_one_by_one_and_as_any_bytes():
    images = np.random.rand(3, 8, 9)
    assert array_images("train", images, (n for n in "abc")).patients == ("a", "b", "c")
    assert array_images("train", images, [bytearray(b"a"), b"b", "c"]).patients == ("a", "b", "c")


@pytest.mark.parametrize(
    "patients", [np.zeros((3, 2)), [("a", "b")] * 3, [{"id": 1}] * 3, [[]] * 3]
)
def test_a_patient_has_one_name(patients):
    with pytest.raises(UserError, match=r"train_patients\[0\] holds several values"):
        array_images("train", np.random.rand(3, 8, 9), patients)


@pytest.mark.parametrize(
    "patients",
    [
        np.ma.array([1, 2, 3], mask=[0, 1, 0]),
        np.ma.array(["a", "b", "c"], mask=[0, 1, 0]),
        np.array(["2024-01-01", "NaT", "2024-01-02"], "datetime64[D]"),
        np.array([1, np.nan, 2]),
        np.array([1, np.inf, 2]),
        [1.0, 12345678901234567890.0, 2.0],
        ["a", None, "b"],
    ],
)
def test_a_patient_that_is_missing_in_memory_is_named_by_its_row(patients):
    with pytest.raises(UserError, match=r"train_patients\[1\] is .*names nobody"):
        array_images("train", np.random.default_rng(0).normal(size=(3, 8, 9)), patients)


def test_patients_are_the_same_however_they_are_given():
    x, kinds = np.random.default_rng(0).normal(size=(3, 8, 9)), (np.int64, np.float32, np.float64)
    given = [["7", "8", "8"], [7, 8, 8], [7.0, 8.0, 8.0], [b"7", b"8", b"8"], [" 7", "8 ", "'8"]]
    given += [np.array([7, 8, 8], kind) for kind in kinds]
    given += [torch.tensor([7, 8, 8]), torch.tensor([7.0, 8.0, 8.0])]
    for patients in given:
        assert array_images("train", x, patients).patients == ("7", "8", "8")


def test_patients_may_come_one_by_one():
    x = np.random.default_rng(0).normal(size=(3, 8, 9))
    assert array_images("train", x, iter(["a", "b", "b"])).patients == ("a", "b", "b")
    assert array_images("train", x, torch.tensor([[1], [2], [2]])).patients == ("1", "2", "2")


def test_a_source_is_named_by_its_images_and_their_patients():
    x = np.random.default_rng(0).normal(size=(3, 8, 9))
    first = array_images("train", x)
    assert first.source == array_images("train", x.copy()).source
    others = [array_images("train", x[::-1]), array_images("train", x, list("aab"))]
    assert len({first.source, *(each.source for each in others)}) == 3
    named = others[1].manifest()
    assert [row.patient for row in named.rows] == ["a", "a", "b"] and named.named
    assert not first.manifest().named


def test_images_that_are_no_longer_there_are_said_to_be(tmp_path):
    images = array_images("train", np.random.default_rng(0).normal(size=(3, 8, 9)))
    config = ArrayConfig.model_validate({"source": images.source})
    assert held_in(config.holding([images]), images.source) is images
    assert held_in(config, "made.npz") is None
    with pytest.raises(UserError, match=r"given to memtk.audit as an array \(train=\)"):
        held_in(config, images.source)


@pytest.mark.parametrize("mode", ["1", "L", "I", "F", "I;16", "RGB", "RGBA"])
def test_pictures_of_pil_are_read_where_their_numbers_are_what_is_seen(mode):
    x = np.random.default_rng(0).integers(0, 99, (8, 9), np.uint8)
    picture = Image.fromarray(x).convert(mode)
    seen = np.asarray(picture) if mode == "1" else x
    assert np.array_equal(array_images("train", [picture, picture]).voxels(1)[0], seen)


@pytest.mark.parametrize("mode", ["P", "CMYK", "YCbCr", "LAB", "HSV"])
def test_pictures_of_pil_whose_numbers_mean_something_else_are_refused(mode):
    picture = Image.fromarray(np.zeros((8, 9, 3), np.uint8)).convert(mode)
    with pytest.raises(UserError, match=f"mode {mode} .* give picture.convert"):
        array_images("train", [picture, picture])


@pytest.mark.parametrize(
    "patients",
    [
        [True, False, True],
        np.array([1, 0, 1], bool),
        np.array([(1, 2)] * 3, "i,i"),
        ["a", "true", "b"],
    ],
)
def test_what_is_no_name_of_a_patient_is_refused(patients):
    with pytest.raises(UserError, match="names nobody|several values"):
        array_images("train", np.random.default_rng(0).normal(size=(3, 8, 9)), patients)
