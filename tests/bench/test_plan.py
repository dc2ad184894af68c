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


def test_an_embedder_without_the_generators_preset_gets_one_of_its_own(plan, registry, monkeypatch):
    cls = registry.find("embedder", "ntxent3d").load()
    fewer = {k: v for k, v in cls.presets.items() if k in ("smoke", "demo")}
    monkeypatch.setattr(cls, "presets", fewer)
    asked = {"generator": "monai3d", "preset": "paper-pccta"}
    with pytest.raises(
        UserError, match=r"no preset 'paper-pccta'.*\n.*bench.embedder_preset=smoke"
    ):
        plan(asked)
    made = plan(asked | {"embedder_preset": "smoke"})
    assert made.embedder.config.training.steps == fewer["smoke"]["training"]["steps"]
    assert made.generators["monai3d"].config.diffusion.steps == 150_000
    with pytest.raises(UserError, match="embedder 'ntxent3d' has no preset 'paper'"):
        plan(asked | {"embedder_preset": "paper"})


def test_an_embedder_of_other_images_than_the_generators_is_told_before_its_presets(plan):
    with pytest.raises(UserError, match=r"works on 2D .* meddiff3d on 3D ones.\n.*ntxent3d"):
        plan({"generator": "meddiff3d", "embedder": "ntxent2d", "preset": "paper-mrnet"})


@pytest.mark.parametrize(("dims", "embedder"), [(3, "ntxent3d"), (2, "ntxent2d")])
def test_every_preset_of_a_generator_is_one_of_the_embedder_beside_it(registry, dims, embedder):
    known = set(registry.find("embedder", embedder).load().presets)
    for entry in registry.entries("generator"):
        if entry.component.dims == {dims} and not entry.missing:
            assert set(getattr(entry.load(), "presets", {})) <= known, entry.name


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
    with pytest.raises(UserError, match=r"copycat\.diffusion[\s\S]*for one alone say monai3d\.KEY"):
        plan({"generator": ("monai3d", "copycat")}, "generator.diffusion.steps=5")
    plan({"generator": ("monai3d", "copycat")}, "monai3d.diffusion.steps=5")


def test_a_bench_refuses_synthetic_images_that_it_would_not_look_at(plan):
    with pytest.raises(UserError, match="makes its synthetic images itself.*memtk audit"):
        plan({"preset": "smoke"}, "data.source=x.csv", "data.synthetic_source=made")


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (["early-stop.memorization=exposed"], "say --set bench.exposure=all"),
        (["early-stop.quality=kid"], "early-stop.quality = kid, and the bench measures ms-ssim"),
    ],
)
def test_what_early_stop_cannot_weigh_is_refused_before_training(registry, sets, said):
    asked = {"generator": ("monai2d",), "mitigation": ("early-stop",), "quality": ("ms-ssim",)}
    asked["preset"] = "smoke"
    with pytest.raises(UserError, match=said):
        make_plan(read_recipe(registry, asked, sets=sets), registry)
    for fits in (["early-stop.quality=ms-ssim"], ["bench.exposure=all", *sets[:1]]):
        if "quality=kid" not in fits[-1]:
            make_plan(read_recipe(registry, asked, sets=fits), registry)
