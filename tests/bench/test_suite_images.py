from __future__ import annotations

import imageio.v3 as imageio
import numpy as np
import pytest

from memtk.bench import make_plan, read_recipe
from memtk.bench.recipe import digest
from memtk.bench.run import describe_plan
from memtk.errors import UserError
from memtk.registry import open_registry

REGISTRY = open_registry()


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """24 X-rays of 12 patients, 32 x 32, named as NIH ChestX-ray14 does."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for patient in range(1, 13):
        for image in range(2):
            voxels = rng.integers(0, 256, (32, 32), dtype=np.uint8)
            imageio.imwrite(folder / f"{patient:08d}_{image:03d}.png", voxels)
    return folder


@pytest.fixture
def suite(tmp_path, images):
    """Write a suite of those images: `suite(key=value of [members])` gives its file."""
    own = {
        "images": 24,
        "patients": 12,
        "digest": f'"{digest(f"{n:08d}" for n in range(1, 13))}"',
        "stored": [32, 32],
    }

    def write(**members):
        text = '[suite]\nname = "tiny"\nversion = "3"\n[data]\nsource = "public:chest-xray"\n'
        text += "resplit = true\nvalidation = 0.4\nspacing = [2.0, 2.0]\n[bench]\n"
        text += 'generator = ["copycat"]\nembedder = "ntxent2d"\n[members]\n'
        text += "".join(f"{key} = {value}\n" for key, value in (own | members).items())
        text += "[presets.smoke.data]\nspacing = [4.0, 4.0]\n"
        (tmp_path / "tiny.toml").write_text(text)
        return str(tmp_path / "tiny.toml")

    return write


def read(suite, data, *sets, preset="smoke"):
    return read_recipe(REGISTRY, {"preset": preset}, suite=suite, data=str(data), sets=sets)


def test_an_own_copy_of_a_suites_images_carries_its_name(suite, images):
    for preset in ("smoke", "demo"):
        recipe = read(suite(), images, preset=preset)
        assert recipe.suite.model_dump() == {"name": "tiny", "version": "3"}
        assert recipe.note == "" and recipe.data["source"] == str(images)


def test_the_settings_of_the_suite_may_be_repeated(suite, images):
    assert read(suite(), images, "data.validation=0.4", "data.spacing=4,4").suite


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"images": 260}, "it has 24 images, the suite 260"),
        ({"patients": 13}, "it has 12 patients, the suite 13"),
        ({"digest": '"abc"'}, "its patients have other numbers"),
    ],
)
def test_other_images_do_not_and_it_is_said_why(suite, images, members, why):
    recipe = read(suite(**members), images)
    assert recipe.suite is None and why in recipe.note and "tiny 3" in recipe.note
    assert recipe.data["validation"] == 0.4  # all else is as the suite has it


def test_other_settings_do_not_and_it_is_said_which(suite, images):
    recipe = read(suite(), images, "data.validation=0.3")
    assert recipe.suite is None and "data.validation is not the suite's" in recipe.note


def test_images_of_another_size_would_be_ruined_and_get_the_spacing_that_fits(suite, images):
    with pytest.raises(UserError, match=r"stored at 32x32; .*\n.*--set data.spacing=0.5,0.25"):
        read(suite(stored=[256, 512]), images)
    assert read(suite(stored=[256, 512]), images, "data.spacing=0.5,0.25").suite is None


def test_the_reason_is_no_part_of_what_is_stored_and_is_said_by_the_dry_run(suite, images):
    recipe = read(suite(images=7), images)
    assert "note" not in recipe.model_dump()
    events = []
    describe_plan(make_plan(recipe, REGISTRY), REGISTRY, watch=events.append, device="cpu")
    assert recipe.note in [e.text for e in events if e.kind == "note"]


def test_a_suite_that_is_not_there_says_how_to_get_it(suite, monkeypatch, tmp_path):
    monkeypatch.setenv("MEMTK_DATA_HOME", str(tmp_path))
    with pytest.raises(UserError, match="memtk data get mrnet"):
        read_recipe(REGISTRY, {}, suite="mrnet")


def test_the_images_that_were_fetched_are_found_by_the_name_of_the_suite(
    suite, images, monkeypatch, tmp_path
):
    monkeypatch.setenv("MEMTK_DATA_HOME", str(tmp_path))
    (tmp_path / "chest-xray").mkdir()
    (tmp_path / "chest-xray/images").symlink_to(images)
    (tmp_path / "chest-xray/.complete").touch()
    recipe = read_recipe(REGISTRY, {"preset": "smoke"}, suite=suite())
    assert recipe.suite.name == "tiny" and recipe.data["source"] == "public:chest-xray"
    described = describe_plan(make_plan(recipe, REGISTRY), REGISTRY, device="cpu")
    assert described is not None
