"""A bench of conditional generators: what is told, sampled, judged by condition and repeated."""

from __future__ import annotations

import io

import pytest
import torch
from rich.console import Console

from memtk.bench import describe_plan, make_plan, read_recipe
from memtk.bench.reproduce import recipe_of
from memtk.data.images import open_images
from memtk.data.prepare import Dataset
from memtk.errors import UserError
from memtk.report.terminal import summary
from memtk.results.redact import HIDDEN

TOLD = ("monai2d.autoencoder.steps=4", "monai2d.diffusion.steps=4", "monai2d.guidance=2")


@pytest.fixture(scope="module")
def told(tmp_path_factory, run_small):
    """Conditional samples, as a file says them, beside the control, which takes no condition."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "wanted.csv").write_text("lesions\n1\n1\n1\n3\n")
    done = run_small(
        folder / "run",
        ("monai2d", "copycat"),
        TOLD,
        condition=("lesions",),
        condition_from=str(folder / "wanted.csv"),
        checkpoints=1,
    )
    return done


def synthetic(done, cell):
    return open_images(next((done.folder / "cells" / cell / "synthetic").glob("*.h5")))


def test_samples_are_what_the_file_says_and_are_judged_by_it(told):
    made = synthetic(told, "monai2d")
    assert made.conditions.flatten().tolist() == [0, 0, 0, 2] * 5
    by = {found.value: found for found in told.results[0].last.by_condition}
    assert {value: found.n_synthetic for value, found in by.items()} == {"1": 15, "2": 0, "3": 5}
    assert by["2"].copy_rate is None and by["2"].exposed is not None
    assert sum(found.training_patients for found in by.values()) == 20


def test_a_generator_that_takes_no_condition_is_judged_as_a_whole(told):
    assert synthetic(told, "copycat").conditions is None
    assert told.results[1].last.by_condition == []


def test_the_terminal_and_the_page_show_every_group_and_what_it_is_compared_with(told):
    shown = io.StringIO()
    Console(file=shown, width=100).print(summary(told.results))
    page = told.report.read_text()
    for text in (shown.getvalue(), page):
        assert all(f"lesions = {n}" in text for n in "123")
        assert "Too few validation patients for a comparison within the group" in " ".join(
            text.split()
        )
    assert "By condition" in page


def test_another_condition_of_the_same_noise_is_another_image(told, registry, tmp_path, run_small):
    path = tmp_path / "other.csv"
    path.write_text("lesions\n2\n1\n")
    options = {"condition": ("lesions",), "condition_from": str(path), "checkpoints": 1}
    again = run_small(tmp_path / "run", ("monai2d",), TOLD, **options)
    first, second = (synthetic(done, "monai2d").read([0, 1]) for done in (told, again))
    assert not torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])


def test_the_file_is_part_of_a_run_and_no_place_is_told(told, registry, tmp_path):
    path = tmp_path / "wanted.csv"
    asked = {"generator": ("monai2d",), "preset": "smoke", "condition": ("lesions",)}

    def identity(text):
        path.write_text(text)
        recipe = read_recipe(registry, asked | {"condition_from": str(path)})
        return make_plan(recipe, registry).identity()

    assert identity("lesions\n1\n") != identity("lesions\n2\n")
    result = told.results[0]
    assert result.request["bench"]["condition_from"] == HIDDEN
    with pytest.raises(UserError, match="bench.condition_from"):
        recipe_of(result)
    recipe = recipe_of(result, sets=[f"bench.condition_from={path}"])
    assert recipe.data["condition"] == ["lesions"] or recipe.data["condition"] == ("lesions",)


def test_without_a_file_the_samples_are_told_what_the_training_images_are(
    registry, tmp_path, run_small
):
    done = run_small(
        tmp_path / "run", ("monai2d",), TOLD, condition=("lesions",), checkpoints=1, exposure="none"
    )
    (path,) = (done.folder / "data").glob("*.h5")
    training = Dataset(path, None).split("training").conditions.flatten()
    made = synthetic(done, "monai2d").conditions.flatten()
    assert sorted(made.tolist()) == sorted(training.tolist())


def plan_of(registry, *sets, **asked):
    sizes = ("data.phantom.training=12", "data.phantom.validation=12")
    recipe = read_recipe(registry, {"preset": "smoke", **asked}, sets=(*sizes, *sets))
    return make_plan(recipe, registry)


def test_a_dry_run_says_what_is_told_and_who_takes_nothing(registry):
    plan = plan_of(registry, generator=("monai2d", "copycat"), condition=("lesions",))
    shown = io.StringIO()
    Console(file=shown, width=200).print(describe_plan(plan, registry))
    text = " ".join(shown.getvalue().split())
    assert "monai2d: told in training lesions: 1 " in text
    assert "copycat: takes no condition, and is trained and sampled without" in text


@pytest.mark.parametrize(
    ("asked", "sets", "message"),
    [
        (
            {"generator": ("copycat",), "condition": ("lesions",)},
            (),
            "copycat takes no condition.*name a generator that does",
        ),
        (
            {"generator": ("monai2d",), "condition_from": "x.csv"},
            (),
            "no column is a condition",
        ),
        (
            {"generator": ("monai2d",), "condition": ("lesions",), "condition_from": "x.csv"},
            (),
            "--condition-from: there is no file x.csv",
        ),
        ({"generator": ("monai2d",)}, ("generator.guidance=2",), "this run has none"),
        (
            {"generator": ("monai2d",), "condition": ("lesions",), "mitigation": ("dp-sgd",)},
            ("monai2d.adversarial.steps=0",),
            "does not cover",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_trained(registry, asked, sets, message):
    with pytest.raises(UserError, match=message):
        describe_plan(plan_of(registry, *sets, **asked), registry)


def test_guidance_without_a_condition_is_refused_with_the_plan_so_that_no_study_begins(registry):
    for key in ("generator", "monai2d"):
        with pytest.raises(UserError, match="guidance = 2 presses a condition"):
            plan_of(registry, f"{key}.guidance=2", generator=("monai2d",))
    plan_of(registry, "generator.guidance=1", generator=("monai2d",))


def test_a_setting_that_one_of_several_generators_lacks_is_said_of_another_one(registry):
    with pytest.raises(UserError, match="for one alone say monai2d.KEY"):
        plan_of(
            registry,
            "generator.guidance=2",
            generator=("monai2d", "copycat"),
            condition=("lesions",),
        )
