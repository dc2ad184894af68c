from __future__ import annotations

import pytest

from memtk.config import build
from memtk.evaluation.context import prepared
from memtk.interfaces import PhaseSettings
from memtk.study import make_study
from memtk.study.axes import at_equal_epochs, scaled
from memtk.training.devices import open_devices


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, registry, base):
    plan = make_study(base(), ["seed=0"], registry).runs[0].plan
    folder = tmp_path_factory.mktemp("images")
    return prepared(plan.data, registry, folder, open_devices("cpu"), lambda event: None)


def steps(plan):
    config = next(iter(plan.generators.values())).config
    return [config.autoencoder.steps, config.adversarial.steps, config.diffusion.steps]


def test_steps_follow_the_number_of_training_images(dataset, registry, base):
    sets = ("monai3d.diffusion.steps=100",)
    study = make_study(
        base(generator="monai3d", sets=sets), [], registry, kind="datasize", sizes="0.25,0.5,1"
    )
    assert study.equal_epochs
    found = [steps(at_equal_epochs(c.plan, dataset, registry)) for c in study.runs]
    assert found == [[2, 1, 25], [5, 2, 50], [10, 4, 100]]


def test_the_embedder_and_all_else_stay_as_they_are(dataset, registry, base):
    study = make_study(
        base(generator="monai3d", similarity="pearson"), [], registry, kind="datasize", sizes="0.5"
    )
    before, after = study.runs[0].plan, at_equal_epochs(study.runs[0].plan, dataset, registry)
    assert after.embedder.config == before.embedder.config
    assert after.recipe.bench == before.recipe.bench
    one, other = (p.generators["monai3d+datasize"].config for p in (before, after))
    phases = ("autoencoder", "adversarial", "diffusion")
    assert one.model_dump(exclude=set(phases)) == other.model_dump(exclude=set(phases))


def test_a_model_that_takes_no_steps_is_left_alone(dataset, registry, base):
    study = make_study(base(), [], registry, kind="datasize", sizes="0.5")
    plan = study.runs[0].plan
    assert at_equal_epochs(plan, dataset, registry).generators == plan.generators


def test_milestones_are_scaled_where_they_count_steps():
    asked = {"steps": 100, "schedule": "milestones", "milestones": (40, 80)}
    by_step = PhaseSettings.model_validate(asked | {"milestone_unit": "steps"})
    assert scaled(by_step, 0.5) == {"steps": 50, "milestones": (20, 40)}
    assert scaled(PhaseSettings.model_validate(asked), 0.5) == {"steps": 50}
    assert scaled(PhaseSettings.model_validate({"steps": 0}), 0.5) == {}


def test_settings_that_count_steps_are_scaled_with_their_phase(registry):
    cls = registry.load("generator", "meddiff3d")
    config = build(cls.Config, cls.presets["demo"])
    assert (config.vqgan.steps, config.discriminator_start) == (1500, 1440)
    quarter = scaled(config, 0.25)
    assert (quarter["vqgan"]["steps"], quarter["discriminator_start"]) == (375, 360)
    never = build(cls.Config, cls.presets["smoke"], {"discriminator_start": 0})
    assert "discriminator_start" not in scaled(never, 0.25)
