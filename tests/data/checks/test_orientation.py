import numpy as np
import pytest

from memtk.data.checks.orientation import OrientationCheck, thinned
from memtk.data.packed import PackedImage
from memtk.data.sources import Sample
from memtk.imaging.phantoms import phantom


def one_sided(rng, shape):
    """Return an image that is bright towards the last corner, unlike its mirror images."""
    grid = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    slope = sum((axis + 1) * g for axis, g in enumerate(grid))
    return (slope + rng.normal(0, 1, shape))[None]


def found(turn, shape=(20, 20), count=25, real=one_sided):
    rng = np.random.default_rng(0)
    posture = OrientationCheck()
    for _ in range(count):
        posture.add(Sample("", "", "training"), thinned(PackedImage(real(rng, shape), None, ())))
        posture.add(
            Sample("", "", "synthetic"), thinned(PackedImage(turn(real(rng, shape)), None, ()))
        )
    return posture.findings()


@pytest.mark.parametrize(
    ("turn", "said"),
    [
        (lambda x: x[:, :, ::-1], "mirrored along axis 2"),
        (lambda x: x[:, ::-1], "mirrored along axis 1"),
        (lambda x: x.transpose(0, 2, 1), "with the axes in the order 2, 1"),
        (lambda x: x[:, ::-1, ::-1], "mirrored along axis 1 and 2"),
    ],
)
def test_pictures_that_are_mirrored_or_turned_are_noticed(turn, said):
    (one,) = found(turn)
    assert one.outcome == "note" and f"real ones {said}:" in one.found
    assert "copies are missed" in one.way_out


def test_volumes_that_are_turned_are_noticed():
    (one,) = found(lambda x: x.transpose(0, 3, 2, 1)[:, ::-1], (40, 12, 40))
    assert one.outcome == "note" and "order 3, 2, 1 and mirrored along axis" in one.found


def test_images_that_lie_alike_are_accepted():
    (one,) = found(lambda x: x)
    assert one.outcome == "accepted" and one.found.startswith("correlation of the mean images 0.9")


def test_noise_and_symmetric_images_are_not_said_to_be_turned():
    def noise(rng, shape):
        return rng.normal(size=(1, *shape))

    def disc(rng, shape):
        y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
        return (np.exp(-3 * (x**2 + y**2)) + rng.normal(0, 0.1, shape))[None]

    assert found(lambda x: x[:, ::-1], real=noise)[0].outcome == "accepted"
    assert found(lambda x: x[:, ::-1], real=disc)[0].outcome == "accepted"
    (constant,) = found(lambda x: x, real=lambda rng, shape: np.ones((1, *shape)))
    assert constant.outcome == "accepted" and "0.000" in constant.found


def test_what_chance_leaves_of_the_sides_of_phantoms_is_not_taken_for_a_turn():
    outcomes = []
    for seed in range(12):
        numbers = iter(range(100))

        def person(rng, shape, seed=seed, numbers=numbers):
            return phantom(seed, next(numbers), 0, dims=2, size=shape[0])[None]

        outcomes += [one.outcome for one in found(lambda x: x, (24, 24), 40, person)]
    assert outcomes.count("accepted") >= 11


def test_few_images_say_nothing_and_images_of_another_shape_are_left_out():
    assert found(lambda x: x, count=19) == []
    assert found(lambda x: x[:, :-1]) == []


def test_a_rotated_set_of_real_pictures_is_noticed_and_one_that_is_not_is_accepted(real_data):
    import csv

    import imageio.v3 as imageio

    folder = real_data / "chest_xray_64"
    straight, turned = OrientationCheck(), OrientationCheck()
    with (folder / "manifest.csv").open() as handle:
        for row in list(csv.DictReader(handle))[::3]:
            picture = imageio.imread(folder / row["path"])[None]
            split = "training" if row["split"] == "train" else "synthetic"
            straight.add(Sample("", "", split), thinned(PackedImage(picture, None, ())))
            flipped = picture[:, ::-1] if split == "synthetic" else picture
            turned.add(Sample("", "", split), thinned(PackedImage(flipped, None, ())))
    assert straight.findings()[0].outcome == "accepted"
    assert "mirrored along axis 1" in turned.findings()[0].found
