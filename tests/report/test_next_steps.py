from __future__ import annotations

from pathlib import Path

from memtk.report.next_steps import run_steps
from memtk.results import Comparable, GroupTest, RateInterval, Suite
from memtk.testing import fakes

OWN = {"bench": {"generator": ["a", "b", "copycat"], "preset": "demo"}, "data": {"source": "x.csv"}}
SUITE = {"bench": OWN["bench"] | {"preset": "smoke"}, "suite": {"name": "phantom2d"}}
HIGH = RateInterval(estimate=0.42, low=0.3, high=0.5)


def trained(name, plugin="toys", config=None, **said):
    """The result of a generator that was trained here."""
    found = {"confidence": 0.95, "selftest": fakes.selftest()} | said
    result = fakes.result(cell=name, training={"generator": {"fit": [(1, {"mse": 1.0})]}}, **found)
    used = fakes.used(name, plugin, **(config or {}))
    parts = result.components.model_copy(update={"generator": used})
    return result.model_copy(update={"components": parts})


def steps(*results, recipe=OWN):
    return run_steps(results, Path("run"), recipe, paths=True)


def test_what_helps_several_generators_is_said_once_and_in_one_command_and_not_of_controls():
    both = [trained(name, copy_rate=HIGH, exposed=27) for name in ("a", "b")]
    (step,) = steps(*both, trained("copycat", "toy", copy_rate=HIGH, exposed=27))
    assert "--generator a" in step.command and "--generator b" in step.command
    assert "copycat" not in step.command and "--compare augment" in step.command


def test_what_helps_one_of_several_generators_names_it():
    wide = trained("b", config={"channels": 8}, copy_rate=HIGH, exposed=27)
    one, two = steps(trained("a", copy_rate=HIGH, exposed=27), wide)
    assert one.said.startswith("a: ") and "smaller" not in one.command
    assert two.said.startswith("b: ") and "--compare smaller" in two.command


def test_a_generator_of_noise_is_to_be_trained_longer_and_nothing_else():
    unlike = Comparable(likeness=GroupTest(p=0.001, size=0.6, nearer=False))
    config = {"training": {"steps": 60, "rate": 0.1}}
    (step,) = steps(trained("a", config=config, comparable=unlike, exposed=(0, 20)))
    assert "Train it longer" in step.said
    assert step.command.endswith("--set a.training.steps=120")


def test_after_a_trial_the_same_is_benched_with_more_patients():
    result = trained("a", suite=Suite(name="phantom2d", version="1"), exposed=(0, 20))
    (step,) = steps(result, recipe=SUITE)
    assert "--preset demo" in step.command and "--generator copycat" in step.command
    other = trained("b", suite=Suite(name="phantom2d", version="1"), exposed=(0, 20))
    assert steps(result, other, recipe=SUITE) == [step]  # one command does it for all


def test_after_a_trial_on_ones_own_data_whose_images_are_noise_the_preset_is_named_not_its_steps():
    unlike = Comparable(likeness=GroupTest(p=0.001, size=0.6, nearer=False))
    noise = trained("a", config={"training": {"steps": 20}}, comparable=unlike, exposed=(0, 20))
    (step,) = steps(noise, recipe=OWN | {"bench": SUITE["bench"]})
    assert "too few steps" in step.said and "--preset demo" in step.command
    assert ".steps=" not in step.command


def test_where_too_few_patients_were_trained_on_to_rule_them_out_this_is_said():
    low = RateInterval(estimate=0.0, low=0.0, high=0.02)
    few = trained("a", copy_rate=low, copy_rate_upper_bound=0.02, n=54, exposed=(0, 3))
    (step,) = steps(few)
    assert "no bench of 54 training patients can rule out enough" in step.said


def test_a_suite_whose_patients_are_too_few_sends_to_images_of_ones_own():
    low = {"copy_rate": RateInterval(estimate=0.0, low=0.0, high=0.02), "exposed": (0, 9)}
    suite = Suite(name="phantom2d", version="1")
    result = trained("a", suite=suite, copy_rate_upper_bound=0.02, **low)
    said = [step.said for step in steps(result, recipe=SUITE | {"bench": OWN["bench"]})]
    assert any("bench images of your own" in each for each in said), said
