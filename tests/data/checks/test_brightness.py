import numpy as np

from memtk.data.checks.voxels import (
    SYNTHETIC,
    VALIDATION,
    BrightnessCheck,
    figures_of,
    standardised,
)
from memtk.data.packed import PackedImage
from memtk.data.sources import Sample


def gather(rng, **groups):
    """Gather images of noise about a level: `training=(count, level)`."""
    found = BrightnessCheck()
    for split, (count, level) in groups.items():
        for i in range(count):
            voxels = rng.normal(level + rng.normal(0, 0.1), 0.3, (1, 16, 16))
            found.add(
                Sample(str(i), str(i), split),
                figures_of(PackedImage(np.clip(voxels, -1, 1), None, ())),
            )
    return {f.check: f for f in found.findings()}


def test_the_difference_is_that_of_cohen():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, (30, 2)), rng.normal(1, 2, (20, 2))
    wanted = [
        (y.mean() - x.mean()) / np.sqrt((x.std(ddof=1) ** 2 + y.std(ddof=1) ** 2) / 2)
        for x, y in zip(a.T, b.T, strict=True)
    ]
    np.testing.assert_allclose(standardised(a, b), wanted)
    same, other = np.zeros((3, 1)), np.ones((3, 1))
    assert standardised(same, same) == 0 and standardised(same, other) == np.inf


def test_brighter_synthetic_images_are_noted_with_figures():
    rng = np.random.default_rng(0)
    one = gather(rng, training=(40, 0), validation=(30, 0), synthetic=(40, 0.4))[SYNTHETIC]
    assert one.outcome == "note"
    assert one.found.startswith("synthetic images differ from real ones: mean 0.4")
    assert "standard deviations)" in one.found and "save them as the generator" in one.way_out


def test_alike_images_are_accepted_nearly_always():
    rng = np.random.default_rng(1)
    outcomes = [
        f.outcome
        for _ in range(60)
        for f in gather(rng, training=(12, 0), validation=(8, 0), synthetic=(10, 0)).values()
    ]
    assert len(outcomes) == 120 and outcomes.count("note") <= 1


def test_validation_images_of_another_brightness_are_noted():
    found = gather(np.random.default_rng(0), training=(40, 0), validation=(40, 0.4))
    assert found[VALIDATION].outcome == "note" and SYNTHETIC not in found
    assert found[VALIDATION].found.startswith("validation images differ from training ones")


def test_single_images_are_not_compared():
    assert gather(np.random.default_rng(0), training=(1, 0), synthetic=(1, 1)) == {}


def test_real_pictures_of_two_splits_are_alike_and_clipped_ones_are_not(real_data):
    import csv

    import imageio.v3 as imageio

    from memtk.imaging.intensity import PercentileScaling

    folder, scale = real_data / "chest_xray_64", PercentileScaling()
    found = BrightnessCheck()
    with (folder / "manifest.csv").open() as handle:
        for number, row in enumerate(csv.DictReader(handle)):
            if number % 4:
                continue
            picture = imageio.imread(folder / row["path"])[None].astype(float)
            split = "training" if row["split"] == "train" else "validation"
            found.add(Sample("", "", split), figures_of(PackedImage(scale(picture), None, ())))
            if split == "validation":
                clipped = scale(np.clip(1.5 * picture, 0, 255))
                found.add(Sample("", "", "synthetic"), figures_of(PackedImage(clipped, None, ())))
    alike, clipped = found.findings()
    assert alike.outcome == "accepted" and clipped.outcome == "note"
    assert "share of voxels at -1 or 1" in clipped.found
