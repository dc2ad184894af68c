import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

from memtk.training.schedules import factor


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
    assert [factor("one-cycle", s, steps) for s in range(steps)] == pytest.approx(expected)


@pytest.mark.parametrize("steps", [1, 2, 37])
def test_cosine_is_torchs(steps):
    expected = rates(lambda adam: CosineAnnealingLR(adam, steps), steps)
    assert [factor("cosine", s, steps) for s in range(steps)] == pytest.approx(expected)


def test_the_ends_are_as_documented():
    assert factor("constant", 7, 9) == 1.0
    assert factor("cosine", 0, 9) == 1.0
    assert factor("cosine", 9, 9) == pytest.approx(0.0)
    assert factor("one-cycle", 0, 100) == pytest.approx(1 / 25)
    assert factor("one-cycle", 29, 100) == 1.0
    assert factor("one-cycle", 99, 100) == pytest.approx(4e-6)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_cycle_of_few_steps_stays_within_bounds(steps):
    assert all(0 < factor("one-cycle", s, steps) <= 1 for s in range(steps))


def test_an_unknown_schedule_is_refused():
    with pytest.raises(ValueError, match="zigzag"):
        factor("zigzag", 0, 1)
