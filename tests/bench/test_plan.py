from __future__ import annotations

import pytest

from memtk.bench import make_plan, read_recipe
from memtk.errors import UserError


@pytest.fixture
def plan(registry):
    return lambda asked, *sets: make_plan(read_recipe(registry, asked, sets=sets), registry)


def test_a_preset_default_or_setting_changes_what_a_run_is(plan):
    smoke = plan({"preset": "smoke"}).identity()
    assert plan({"preset": "smoke"}).identity() == smoke
    assert plan({"preset": "smoke"}, "monai3d.sampling_steps=7").identity() != smoke
    config = smoke["components"]["generator monai/monai3d"]["config"]
    assert config["diffusion"]["steps"] == 20 and config["timesteps"] == 1000


def test_an_unknown_preset_is_refused_though_no_component_has_any(plan):
    with pytest.raises(UserError, match=r"unknown preset 'smokey'.*Did you mean 'smoke'"):
        plan({"generator": "copycat", "similarity": "ncc", "preset": "smokey"})


def test_a_mistyped_embedder_is_refused_though_it_is_not_used(plan):
    with pytest.raises(UserError, match="unknown embedder 'ntxen'"):
        plan({"generator": "copycat", "similarity": "ncc", "embedder": "ntxen"})


@pytest.mark.parametrize("kind", ["generator", "mitigation"])
def test_a_component_named_twice_is_refused(plan, kind):
    name = {"generator": "copycat", "mitigation": "augment"}[kind]
    with pytest.raises(UserError, match="asked for twice"):
        plan({kind: (name, name)})


def test_settings_for_a_component_without_any_are_refused(plan):
    with pytest.raises(UserError, match="'pearson' has no settings; x was asked"):
        plan({"generator": "copycat"}, "pearson.x=1")


def test_a_plugins_name_before_a_component_is_understood(plan):
    assert list(plan({"generator": "toy/copycat", "preset": "smoke"}).generators) == ["copycat"]


def test_a_setting_that_one_of_several_generators_lacks_gets_the_way_to_set_one_alone(plan):
    with pytest.raises(UserError, match=r"copycat\.diffusion[\s\S]*--set copycat\.KEY=VALUE"):
        plan({"generator": ("monai3d", "copycat")}, "generator.diffusion.steps=5")
    plan({"generator": ("monai3d", "copycat")}, "monai3d.diffusion.steps=5")


def test_a_bench_refuses_synthetic_images_that_it_would_not_look_at(plan):
    with pytest.raises(UserError, match="makes its synthetic images itself.*memtk audit"):
        plan({"preset": "smoke"}, "data.source=x.csv", "data.synthetic_source=made")
