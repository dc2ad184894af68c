import numpy as np
import pytest

from memtk.data.checks.orientation import ORIENTATION, SPACING, HeaderChecks
from memtk.data.config import DataConfig
from memtk.data.sources import Sample

RAS, LAS = np.diag([1.0, 1, 1, 1]), np.diag([-1.0, 1, 1, 1])


def gather(*images, **keys):
    """Gather (split, spacing, affine) of volumes, named 0.nii, 1.nii, ..."""
    headers = HeaderChecks(DataConfig(source="x", **keys))
    for i, (split, spacing, affine) in enumerate(images):
        affine = None if affine is None else affine @ np.diag([*spacing, 1.0])
        made = headers.config.spacing or spacing
        headers.add(Sample(f"{i}.nii", str(i), split), affine, made, spacing)
    return headers


def finding(headers, check):
    (one,) = [f for f in headers.findings() if f.check == check]
    return one


def test_one_voxel_size_is_kept_and_different_ones_are_said():
    same = [("training", (1, 1, 2), LAS), ("training", (1.001, 1, 2), LAS)]
    headers = gather(*same)
    assert headers.spacing() == (1.0005, 1, 2)
    assert finding(headers, SPACING).outcome == "accepted"
    assert finding(headers, SPACING).found == "1 x 1 x 2 mm"
    headers = gather(*same, ("validation", (1, 1, 3), LAS))
    assert headers.spacing() == ()
    one = finding(headers, SPACING)
    assert one.outcome == "note" and "from 1 to 3 mm" in one.found
    assert "data.spacing=" in one.way_out


def test_different_orientations_are_said_where_they_are_kept():
    images = [("training", (1, 1, 1), affine) for affine in (RAS, LAS, LAS)]
    one = finding(gather(*images), ORIENTATION)
    assert one.outcome == "note" and "2 LAS, 1 RAS" in one.found
    assert "data.orientation=ras" in one.way_out
    assert finding(gather(*images, orientation="ras"), ORIENTATION).outcome == "accepted"


def test_synthetic_volumes_of_another_orientation_are_refused_unless_it_is_asked():
    images = [("training", (1, 1, 2), LAS), ("synthetic", (1, 1, 2), RAS)]
    one = finding(gather(*images), ORIENTATION)
    assert one.outcome == "refused"
    assert one.found == "1 LAS in real volumes, 1 RAS in synthetic ones, e.g. 1.nii (RAS)"
    assert "--set data.orientation=ras" in one.way_out
    assert finding(gather(*images, orientation="ras"), ORIENTATION).outcome == "accepted"
    kept = finding(gather(*images, orientation="keep"), ORIENTATION)
    assert kept.outcome == "note" and "keep is asked for" in kept.found


def test_synthetic_volumes_that_lie_as_some_real_ones_do_are_accepted_with_a_note():
    images = [("training", (1, 1, 2), LAS), ("training", (1, 1, 2), RAS)]
    one = finding(gather(*images, ("synthetic", (1, 1, 2), RAS)), ORIENTATION)
    assert one.outcome == "note" and "1 LAS, 1 RAS" in one.found


@pytest.mark.parametrize(("real", "made", "kind"), [(LAS, None, "synthetic"), (None, LAS, "real")])
def test_volumes_that_say_no_orientation_are_not_refused(real, made, kind):
    images = [("training", (1, 1, 1), real), ("synthetic", (1, 1, 1), made)]
    one = finding(gather(*images), ORIENTATION)
    assert one.outcome == "note" and f"Nothing says how the {kind} ones lie" in one.way_out
    assert "unknown" in one.found


def test_synthetic_images_of_another_voxel_size_are_refused_unless_it_is_asked():
    images = [("training", (1, 1, 1), LAS), ("synthetic", (2, 1, 1), LAS)]
    one = finding(gather(*images), SPACING)
    assert one.outcome == "refused"
    assert one.found == "voxels of 1 x 1 x 1 mm in real images, 2 x 1 x 1 mm in synthetic ones"
    assert "--set data.spacing=1,1,1" in one.way_out and "data.spacing=none" in one.way_out
    kept = finding(gather(*images, spacing=None), SPACING)
    assert kept.outcome == "note" and "data.spacing = none is asked for" in kept.found


@pytest.mark.parametrize("affine", [None, RAS])
def test_synthetic_images_that_seem_to_say_no_voxel_size_are_not_refused(affine):
    images = [("training", (0.8, 0.8, 2), RAS), ("synthetic", (1, 1, 1), affine)]
    headers = gather(*images)
    one = finding(headers, SPACING)
    assert one.outcome == "note" and "the synthetic ones do not seem to say it" in one.found
    assert headers.spacing() == (0.8, 0.8, 2) and headers.spacing(synthetic=True) == (1, 1, 1)


def test_voxel_sizes_within_the_range_of_the_real_ones_are_accepted_with_a_note():
    images = [("training", (1, 1, 1), LAS), ("training", (1, 1, 3), LAS)]
    one = finding(gather(*images, ("synthetic", (1, 1, 2), LAS)), SPACING)
    assert one.outcome == "note" and "are kept" in one.found
    wide = finding(gather(*images, ("synthetic", (1, 1, 4), LAS)), SPACING)
    assert wide.outcome == "refused" and "1 x 1 x 1 to 3 mm" in wide.found


def test_pictures_have_no_orientation_and_images_of_mixed_axes_are_not_compared():
    headers = HeaderChecks(DataConfig(source="x"))
    headers.add(Sample("a", "a", "training"), None, (1, 1), (1, 1))
    assert [f.check for f in headers.findings()] == [SPACING]
    headers.add(Sample("b", "b", "training"), None, (1, 1, 1), (1, 1, 1))
    assert headers.findings() == [] and headers.spacing() == ()
    assert HeaderChecks(DataConfig(source="x")).findings() == []


SAID, UNSAID = ((2, 2, 2), RAS), ((1, 1, 1), None)


@pytest.mark.parametrize("affine", [None, np.eye(4)])
@pytest.mark.parametrize("spacing", [(2, 2, 2), (1.5, 1.5, 1.5), (1, 1, 3)])
@pytest.mark.parametrize("synthetic", [True, False])
def test_images_without_a_voxel_size_are_not_resampled_beside_others_with_one(
    affine, spacing, synthetic
):
    unsaid = ((1, 1, 1), affine)
    real, made = (SAID, unsaid) if synthetic else (unsaid, SAID)
    found = finding(gather(("training", *real), ("synthetic", *made), spacing=spacing), SPACING)
    kind = "synthetic" if synthetic else "real"
    assert found.outcome == "refused" and f"the {kind} images do not seem to say" in found.found
    assert "data.spacing=none" in found.way_out and "data.spacing=1,1,1" in found.way_out


def test_images_without_a_voxel_size_count_as_1_mm_and_that_is_said():
    pair = [("training", *SAID), ("synthetic", *UNSAID)]
    found = finding(gather(*pair, spacing=(1, 1, 1)), SPACING)
    assert found.outcome == "note" and "the synthetic images do not seem to say" in found.found
    both = [("training", *UNSAID), ("synthetic", *UNSAID)]
    found = finding(gather(*both, spacing=(2, 2, 2)), SPACING)
    assert found.outcome == "note" and "the real and synthetic images do not" in found.found


@pytest.mark.parametrize(
    ("real", "made", "keys"),
    [
        (SAID, SAID, {"spacing": (1, 1, 1)}),
        (UNSAID, UNSAID, {"spacing": (1, 1, 1)}),
        (UNSAID, UNSAID, {}),
        (((1, 1, 1), LAS), UNSAID, {"spacing": (1, 1, 1)}),
        (((1, 1, 1), LAS), ((3, 3, 3), LAS), {"spacing": (2, 2, 2)}),
    ],
)
def test_voxel_sizes_that_are_said_or_need_not_be_are_accepted(real, made, keys):
    found = finding(gather(("training", *real), ("synthetic", *made), **keys), SPACING)
    assert found.outcome == "accepted"
