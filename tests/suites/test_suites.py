from __future__ import annotations

import pytest

from memtk.bench.recipe import digest, suite_data
from memtk.data.patients import split_patients
from memtk.data.public.catalogue import PUBLIC
from memtk.errors import UserError
from memtk.suites import MEMBERS, load_suite, suite_names

PUBLIC_SUITES = ("chest-xray", "hippocampus", "mrnet")


def test_the_suites_are_these():
    assert suite_names() == ["chest-xray", "hippocampus", "mrnet", "phantom2d", "phantom3d"]


@pytest.mark.parametrize("name", suite_names())
def test_a_suite_names_itself_and_its_settings_exist(name):
    suite = load_suite(name)
    assert suite["suite"]["name"] == name and suite["suite"]["version"]
    assert set(suite.get("members", {})) <= MEMBERS
    for preset in ("demo", "smoke", "paper"):
        data = suite_data(suite, preset)
        shape = data.shape or (data.phantom.size,)
        assert all(size % 8 == 0 for size in shape)


@pytest.mark.parametrize("name", PUBLIC_SUITES)
def test_a_suite_of_public_images_names_a_known_set_and_its_size(name):
    suite = load_suite(name)
    assert suite["data"]["source"] == f"public:{name}"
    assert suite["members"]["images"] == PUBLIC[name].images


def test_the_members_are_told_by_the_numbers_of_the_patients():
    nih = [f"{n:08d}" for n in range(1, 30806)]
    assert load_suite("chest-xray")["members"]["digest"] == digest(nih)
    assert load_suite("mrnet")["members"]["digest"] == digest(f"{n:04d}" for n in range(1250))


def test_mrnet_has_the_sizes_of_the_reference():
    data = suite_data(load_suite("mrnet"), "paper")
    shares = {"validation": data.validation, "held_out": data.held_out}
    parts = list(split_patients((f"{n:04d}" for n in range(1130)), **shares, seed=0).values())
    assert (parts.count("training"), parts.count("validation")) == (904, 226)
    assert data.shape == (32, 256, 256)


def test_chest_xray_has_the_sizes_of_the_reference_in_patients():
    data = suite_data(load_suite("chest-xray"), "paper")
    shares = {"validation": data.validation, "held_out": data.held_out}
    parts = list(split_patients((f"{n:08d}" for n in range(1, 30806)), **shares, seed=0).values())
    for split in ("training", "validation", "held_out"):
        assert parts.count(split) >= getattr(data.limit, split) == 10000
    assert data.shape == (512, 512) and data.limit.images_per_patient == 1


def test_a_suite_of_a_file_with_an_unknown_key_of_its_members_is_refused(tmp_path):
    file = tmp_path / "s.toml"
    file.write_text('[suite]\nname = "a"\nversion = "1"\n[members]\nimage = 3\n')
    with pytest.raises(UserError, match="unknown key members.image: there are digest, images"):
        load_suite(str(file))


@pytest.mark.parametrize("name", ["chest-xray", "hippocampus"])
def test_a_suite_that_splits_anew_holds_as_many_patients_out_as_it_trains_on(name):
    data = suite_data(load_suite(name), "demo")
    shares = {"validation": data.validation, "held_out": data.held_out}
    parts = list(split_patients((str(n) for n in range(170)), **shares, seed=0).values())
    assert parts.count("held_out") >= parts.count("training")  # for the control `independent`
