import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, MultiStepLR, OneCycleLR

from memtk.interfaces import Phase, PhaseSettings
from memtk.training.steps import lr_factor, milestone_steps


def rates(make, steps):
    adam = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = make(adam)
    found = []
    for _ in range(steps):
        found.append(adam.param_groups[0]["lr"])
        adam.step()
        schedule.step() if len(found) < steps else None
    return found


@pytest.mark.parametrize("steps", [5, 10, 37, 200])
def test_one_cycle_is_torchs(steps):
    expected = rates(lambda adam: OneCycleLR(adam, 1.0, total_steps=steps), steps)
    assert [lr_factor("one-cycle", s, steps) for s in range(steps)] == pytest.approx(expected)


@pytest.mark.parametrize("steps", [1, 2, 37])
def test_cosine_is_torchs(steps):
    expected = rates(lambda adam: CosineAnnealingLR(adam, steps), steps)
    assert [lr_factor("cosine", s, steps) for s in range(steps)] == pytest.approx(expected)


@pytest.mark.parametrize("floor", [0.5, 0.1])
def test_cosine_with_a_floor_is_torchs_with_a_lowest_rate(floor):
    expected = rates(lambda adam: CosineAnnealingLR(adam, 37, eta_min=floor), 37)
    assert [lr_factor("cosine", s, 37, floor=floor) for s in range(37)] == pytest.approx(expected)


def test_the_ends_are_as_documented():
    assert lr_factor("constant", 7, 9) == 1.0
    assert lr_factor("cosine", 0, 9) == 1.0
    assert lr_factor("cosine", 9, 9) == pytest.approx(0.0)
    assert lr_factor("one-cycle", 0, 100) == pytest.approx(1 / 25)
    assert lr_factor("one-cycle", 29, 100) == 1.0
    assert lr_factor("one-cycle", 99, 100) == pytest.approx(4e-6)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_cycle_of_few_steps_stays_within_bounds(steps):
    assert all(0 < lr_factor("one-cycle", s, steps) <= 1 for s in range(steps))


def test_an_unknown_schedule_is_refused():
    with pytest.raises(ValueError, match="zigzag"):
        lr_factor("zigzag", 0, 1)


def phase(batch_size, **settings):
    dropping = {"schedule": "milestones", "milestones": (2, 5), "batch_size": batch_size}
    return Phase("p", PhaseSettings(**{**dropping, **settings}))


@pytest.mark.parametrize(("count", "batch_size"), [(12, 4), (13, 4), (3, 8)])
def test_milestones_in_epochs_are_torchs_with_a_loader_of_these_images(count, batch_size):
    loader = torch.utils.data.DataLoader(range(count), batch_size)
    adam = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = MultiStepLR(adam, [2, 5], gamma=0.1)
    expected = []
    for _ in range(7):
        for _ in loader:
            expected.append(adam.param_groups[0]["lr"])
            adam.step()
        schedule.step()
    drops = milestone_steps(phase(batch_size), count)
    steps = len(expected)
    assert [lr_factor("milestones", s, steps, drops) for s in range(steps)] == pytest.approx(
        expected
    )


def test_milestones_in_steps_are_steps():
    drops = milestone_steps(phase(4, milestone_unit="steps"), 13)
    found = [lr_factor("milestones", step, 9, drops, 0.5) for step in range(7)]
    assert found == [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]


def test_an_epoch_of_whole_batches_leaves_the_last_images_out():
    whole = Phase("p", phase(4).settings, whole_batch=True)
    assert milestone_steps(whole, 13) == (6, 15)
    assert milestone_steps(phase(4), 13) == (8, 20)
    assert milestone_steps(Phase("p", phase(8).settings, whole_batch=True), 3) == (2, 5)


@pytest.mark.parametrize("milestones", [(), (3, 2), (2, 2), (0,)])
def test_milestones_that_are_none_are_refused(milestones):
    with pytest.raises(ValueError, match="milestones"):
        PhaseSettings(schedule="milestones", milestones=milestones)


def test_a_training_stands_still_once_its_rate_has_dropped_to_nothing(toy, run, tmp_path):
    """12 images in batches of 6: an epoch is two steps."""
    dropping = {"schedule": "milestones", "milestones": (1,), "gamma": 1e-12}
    found = []
    for name, settings in {"short": {"steps": 2}, "long": {"steps": 5, **dropping}}.items():
        model = toy.make(toy.Small, phase=settings)
        run(model, folder=tmp_path / name)
        found.append(model.linear.weight)
    assert torch.allclose(*found, atol=1e-9)
    assert not torch.allclose(found[0], toy.make(toy.Small).linear.weight, atol=1e-3)
