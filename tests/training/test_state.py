import pytest

from memtk.errors import UserError
from memtk.training.checkpoints import recipe_of

KNOWN_BEFORE = {
    "steps", "batch_size", "clip_norm", "schedule", "ema_decay", "ema_every", "precision",
    "variants",
}  # fmt: skip
"""What states held of a phase before there were milestones, decay, recompute and compile."""


def phase_of(toy, images, **settings):
    recipe = recipe_of(toy.make(denoiser=settings), images, 1, False, (9,))
    return recipe["config"]["denoiser"]


def test_settings_that_change_no_number_may_change_between_two_calls(toy, run):
    run(toy.make())
    free = {"recompute": True, "compile": "eager", "prefetch": 0, "accumulate": 2}
    run(toy.make(denoiser=free, autoencoder=free))


def test_a_state_that_was_saved_before_a_setting_goes_on_where_it_is_not_used(toy, images):
    assert phase_of(toy, images).keys() == KNOWN_BEFORE
    assert phase_of(toy, images, gamma=0.3, milestones=(3,)) == phase_of(toy, images)


def test_a_setting_that_changes_numbers_refuses_the_state(toy, run, images):
    run(toy.make())
    with pytest.raises(UserError, match="denoiser.weight_decay was not there and is now 0.1"):
        run(toy.make(denoiser={"weight_decay": 0.1}))
    assert phase_of(toy, images, crop=(4, 4)).keys() == KNOWN_BEFORE | {"crop"}
    used = phase_of(toy, images, schedule="milestones", milestones=(3,), milestone_unit="steps")
    assert used.keys() == KNOWN_BEFORE | {"milestones", "milestone_unit", "gamma"}
    assert used["milestones"] == [3]
