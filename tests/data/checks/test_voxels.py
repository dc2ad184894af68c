import numpy as np
import pytest

from memtk.data.checks.voxels import ACROSS, COPIED, SIZE, WITHIN, VoxelChecks, suggested_shape
from memtk.data.packed import voxel_hash
from memtk.data.sources import Sample


def filled(*images):
    """Gather images of (split, shape, letter: the voxels), named 0.png, 1.png, ..."""
    found = VoxelChecks()
    for i, (split, shape, letter) in enumerate(images):
        voxels = np.full(shape, ord(letter), dtype=np.float32)
        found.add_image(Sample(f"{i}.png", str(i), split), voxels.shape, voxel_hash(voxels))
    return found


def finding(found, check, total=4):
    (one,) = [f for f in found.findings(total) if f.check == check]
    return one


def same_size(*images):
    return filled(*((split, (1, 8, 8), letter) for split, letter in images))


def test_the_suggested_shape_is_the_median_in_multiples_of_eight():
    sizes = {(1, 31, 40, 3): "a", (1, 37, 51, 3): "bc", (1, 60, 52, 4): "de"}
    assert suggested_shape(sizes) == (40, 48, 8)


def test_different_sizes_are_listed_with_the_shape_that_fits():
    shapes = [(1, 35, 51), (1, 35, 51), (1, 37, 54)]
    found = filled(*(("training", shape, chr(i)) for i, shape in enumerate(shapes)))
    one = finding(found, SIZE)
    assert one.found == "the images have 2 sizes: 35x51 (2, e.g. 0.png), 37x54 (1, e.g. 2.png)"
    assert one.way_out.endswith("--set data.shape=32,48") and one.names == ("2.png",)


def test_synthetic_images_of_another_size_than_all_real_ones_are_said_to_be_so():
    found = filled(
        ("training", (1, 8, 8), "a"),
        ("validation", (1, 8, 8), "b"),
        ("synthetic", (1, 9, 9), "c"),
    )
    one = finding(found, SIZE)
    assert one.outcome == "refused"
    assert one.found.endswith("; all real images 8x8, all synthetic images 9x9")


@pytest.mark.parametrize("shape", [(320, 320), (160, 40), (42 * 4 + 2, 42 * 3 + 2), (40, 80)])
def test_a_grid_of_samples_is_to_be_cut_up_and_never_cropped(shape):
    found = filled(
        ("training", (1, 40, 40), "a"),
        ("validation", (1, 40, 40), "b"),
        ("synthetic", (1, *shape), "c"),
    )
    assert "grids of several samples? Cut them up" in finding(found, SIZE).way_out


@pytest.mark.parametrize(
    ("split", "shape"),
    [
        ("training", (80, 80)),
        ("synthetic", (20, 20)),
        ("synthetic", (81, 80)),
        ("synthetic", (79, 80)),
    ],
)
def test_other_sizes_are_no_grids(split, shape):
    found = filled(
        ("training", (1, 40, 40), "a"), ("validation", (1, 40, 40), "b"), (split, (1, *shape), "c")
    )
    assert "--set data.shape" in finding(found, SIZE).way_out


@pytest.mark.parametrize("shape", [(1, 12, 24, 20), (1, 24, 20, 12), (1, 20, 12, 24)])
def test_synthetic_images_with_their_axes_in_another_order_are_to_be_turned(shape):
    found = filled(("training", (1, 20, 24, 12), "a"), ("synthetic", shape, "c"))
    one = finding(found, SIZE)
    assert one.outcome == "refused" and "array.transpose" in one.way_out
    assert "data.shape" not in one.way_out


@pytest.mark.parametrize("shape", [(2, 2), (7, 7), (7, 40), (7, 7, 7), (3, 7, 40), (2, 2, 500)])
def test_images_that_are_too_small_to_be_told_from_others_are_refused(shape):
    found = filled(("training", (1, 64, 64), "a"), ("validation", (1, *shape), "b"))
    one = finding(found, SIZE)
    assert one.outcome == "refused" and one.names == ("1.png",)
    assert f"images of {'x'.join(map(str, shape))} show too little" in one.found
    assert "Two axes need 8 voxels" in one.way_out and "data.shape" not in one.text()


@pytest.mark.parametrize("shape", [(8, 8), (8, 500), (2, 8, 8), (8, 2, 40), (40, 8, 3)])
def test_images_of_eight_voxels_along_two_axes_are_taken(shape):
    assert finding(filled(("training", (1, *shape), "a")), SIZE).outcome == "accepted"


def test_images_of_different_kinds_get_no_shape_suggested():
    flat_and_deep = filled(("training", (1, 8, 8), "a"), ("training", (1, 8, 8, 8), "b"))
    assert "2D or 3D" in finding(flat_and_deep, SIZE).way_out
    channels = filled(("training", (1, 8, 8), "a"), ("training", (2, 8, 8), "b"))
    one = finding(channels, SIZE)
    assert "8x8, 2 channels" in one.found and "channels" in one.way_out
    assert "data.shape" not in one.text()


def test_the_same_image_in_two_splits_is_refused_and_in_one_a_note():
    found = same_size(("training", "x"), ("held_out", "x"), ("training", "y"), ("training", "y"))
    across, within = finding(found, ACROSS), finding(found, WITHIN)
    assert across.outcome == "refused" and across.names == ("0.png", "1.png")
    assert across.found == (
        "identical images in more than one split (1): 0.png [training] = 1.png [held out]"
    )
    assert within.outcome == "note" and within.names == ("2.png", "3.png")
    assert within.found == "identical images within training (1): 2.png = 3.png"


def test_synthetic_images_that_are_training_images_are_counted_and_allowed():
    found = same_size(
        ("training", "x"), ("validation", "z"), ("synthetic", "x"), ("synthetic", "x"),
        ("synthetic", "n"),
    )  # fmt: skip
    one = finding(found, COPIED)
    assert one.outcome == "note" and one.names == ("2.png", "3.png")
    assert one.found == (
        "2 of 3 synthetic images are identical to a training image: 2.png = 0.png, 3.png = 0.png"
    )
    assert "These are copies" in one.way_out
    assert finding(found, ACROSS).outcome == "accepted"
    assert "within synthetic (1): 2.png = 3.png" in finding(found, WITHIN).found


def test_a_synthetic_image_that_is_a_validation_image_makes_the_sets_doubtful():
    found = same_size(("training", "x"), ("validation", "z"), ("synthetic", "z"))
    one = finding(found, COPIED)
    assert "1 of 1 synthetic image is identical to a validation image: 2.png = 1.png" in one.found
    assert "trained with these images" in one.way_out


def test_without_synthetic_images_nothing_is_said_of_them():
    checks = [f.check for f in same_size(("training", "x")).findings(1)]
    assert COPIED not in checks
    none = same_size(("training", "x"), ("synthetic", "y"))
    assert finding(none, COPIED).found == "none of 1 is"


def test_every_kind_of_problem_is_said_at_once():
    found = VoxelChecks(
        unreadable=[f"cannot read {i}: broken" for i in range(7)],
        nonfinite=["a.nii (3 of 9)"],
        blank=["b.png (all 0)"],
        color=["c.png"],
        refused=["d.png has the shape (2,)"],
    )
    refused = [f for f in found.findings(20) if f.outcome == "refused"]
    text = "\n".join(f.text() for f in refused)
    assert len(refused) == 5 and len(refused[0].names) == 7
    assert "unreadable, 7 of 20 images:\ncannot read 0: broken" in text and "and 2 more" in text
    assert "NaN or infinite voxels, 1 of 20 images: a.nii (3 of 9)" in text
    assert "blank, 1 of 20 images: b.png (all 0)" in text
    assert "--set data.color=gray" in text


def test_good_images_are_accepted_by_every_check():
    found = same_size(("training", "x"), ("validation", "y")).findings(2)
    assert {f.outcome for f in found} == {"accepted"}
    assert "no image could be read" in {f.found for f in VoxelChecks().findings(0)}
