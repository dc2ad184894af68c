from __future__ import annotations

import numpy as np
import pytest

from memtk.bench import make_recipe, read_recipe
from memtk.bench.recipe import split_names
from memtk.errors import UserError
from memtk.registry import open_registry

REGISTRY = open_registry()


def read(asked=None, **said):
    return read_recipe(REGISTRY, asked or {}, **said)


def test_without_data_the_embedded_phantoms_are_used():
    recipe = read()
    assert recipe.suite.model_dump() == {"name": "phantom3d", "version": "2"}
    assert recipe.data["phantom"]["size"] == 32


def test_a_preset_changes_its_suite():
    recipe = read({"preset": "smoke"})
    assert recipe.data["phantom"]["training"] == 20 and recipe.bench.checkpoints == 2


def test_what_is_typed_wins_over_the_preset_and_the_file(tmp_path):
    file = tmp_path / "recipe.toml"
    file.write_text("[bench]\nseed = 3\ncheckpoints = 4\n[data.phantom]\nsize = 24\n")
    recipe = read(
        {"preset": "smoke", "checkpoints": 7}, config=file, sets=("data.phantom.training=5",)
    )
    assert recipe.bench.seed == 3 and recipe.bench.checkpoints == 7
    assert recipe.data["phantom"] == {
        "training": 5, "validation": 20, "held_out": 20, "size": 24, "seed": 2,
    }  # fmt: skip


def test_2d_generators_get_the_2d_suite_and_embedder():
    recipe = read({"generator": ("monai2d",)})
    assert recipe.suite.name == "phantom2d" and recipe.bench.embedder == "ntxent2d"


@pytest.mark.parametrize(("shape", "embedder"), [((8, 8), "ntxent2d"), ((8, 8, 8), "ntxent3d")])
def test_where_a_generator_works_on_both_the_data_say_which_embedder(tmp_path, shape, embedder):
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        for number in range(2):
            np.save(tmp_path / split / f"{number}.npy", np.random.rand(*shape))
    recipe = read({"generator": ("copycat",)}, data=str(tmp_path))
    assert recipe.bench.embedder == embedder


def test_own_data_belong_to_no_suite():
    recipe = read(data="manifest.csv")
    assert recipe.suite is None and recipe.data == {"source": "manifest.csv"}


def test_a_suite_and_own_data_contradict_each_other():
    with pytest.raises(UserError, match="--suite or --data, not both"):
        read(suite="phantom3d", data="x.csv")


def test_an_unknown_suite_gets_the_nearest_name():
    with pytest.raises(UserError, match=r"Did you mean 'phantom3d'\?"):
        read(suite="phantom3")


def test_a_file_that_is_no_suite_is_refused(tmp_path):
    file = tmp_path / "s.toml"
    file.write_text("[bench]\nseed = 1\n")
    with pytest.raises(UserError, match=r"needs a table \[suite\]"):
        read(suite=str(file))


def test_a_suite_of_ones_own_is_read(tmp_path):
    file = tmp_path / "s.toml"
    file.write_text('[suite]\nname = "mine"\nversion = "2"\n[data]\nsource = "m.csv"\n')
    assert read(suite=str(file)).suite.model_dump() == {"name": "mine", "version": "2"}


def test_an_unknown_table_gets_the_nearest_name():
    with pytest.raises(UserError, match=r"unknown key 'generater'.*Did you mean 'generator'\?"):
        read(sets=("generater.steps=1",))


def test_settings_of_a_component_that_is_not_used_are_refused():
    with pytest.raises(UserError, match="'copycat', which this bench does not use"):
        read(sets=("copycat.rate=0.5",))


def test_a_value_where_a_table_belongs_is_refused():
    with pytest.raises(UserError, match="expected a key below it"):
        read(sets=("generator=monai3d",))


def test_an_unknown_option_of_the_bench_is_refused():
    with pytest.raises(UserError, match="unknown key 'bench.sampels'.*Did you mean 'samples'"):
        read(sets=("bench.sampels=3",))


@pytest.mark.parametrize("text", ["data=foo", "bench=3", "suite=x"])
def test_a_value_in_place_of_a_known_table_is_refused(text):
    with pytest.raises(UserError, match="expected a key below it"):
        read(sets=(text,))


def test_a_recipe_file_with_a_value_in_place_of_a_table_is_refused(tmp_path):
    file = tmp_path / "r.toml"
    file.write_text("bench = 3\n")
    with pytest.raises(UserError, match="bench = 3: expected keys below it"):
        read(config=file)


def test_other_images_than_the_suites_do_not_carry_its_name():
    assert read(sets=("data.phantom.training=9",)).suite is None
    assert read(suite="phantom3d", sets=("data.source=x.csv",)).suite is None


def test_a_suite_given_as_a_recipe_is_refused(tmp_path):
    file = tmp_path / "s.toml"
    file.write_text('[suite]\nname = "mine"\nversion = "2"\n')
    with pytest.raises(UserError, match="is a suite: give it with --suite"):
        read(config=file)


def test_a_suite_whose_name_is_a_path_is_refused(tmp_path):
    file = tmp_path / "s.toml"
    file.write_text('[suite]\nname = "../x"\nversion = 2\n[data]\nsource = "m.csv"\n')
    with pytest.raises(UserError, match="suite.name"):
        read(suite=str(file))


def test_images_named_twice_are_refused():
    with pytest.raises(UserError, match="both name images"):
        read(data="a.csv", sets=("data.source=b.csv",))


def test_a_control_beside_a_2d_model_gets_2d_images():
    assert read({"generator": ("copycat", "monai2d")}).suite.name == "phantom2d"


def test_a_components_own_settings_win_over_those_of_its_kind():
    recipe = make_recipe(
        {"bench": {"generator": "a"}, "generator": {"x": 1, "y": 1}, "a": {"x": 2}}
    )
    assert recipe.settings_of("generator", "plugin/a") == {"x": 2, "y": 1}


@pytest.mark.parametrize("entry", ["", "+", "a+", "+a", "monai2d", "monai2d+"])
def test_an_entry_that_names_no_mitigation_is_refused(entry):
    with pytest.raises(UserError, match="name a mitigation"):
        split_names(entry, ["monai2d"])
