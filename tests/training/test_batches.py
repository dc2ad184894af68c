import pytest

from memtk.training.batches import Order, micro_batches


def test_an_epoch_is_a_permutation_and_the_next_one_another():
    order = Order(0, "phase", 10)
    first, second = order.images(range(10)), order.images(range(10, 20))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second


def test_order_depends_on_seed_and_phase():
    assert len({tuple(Order(s, p, 20).images(range(20))) for s in (0, 1) for p in "ab"}) == 4


def test_a_batch_may_be_larger_than_the_training_set():
    seen = Order(0, "phase", 3).images(range(8))
    assert sorted(seen[:3]) == sorted(seen[3:6]) == [0, 1, 2]


@pytest.mark.parametrize("world", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("accumulate", [1, 2, 3, 20])
def test_the_parts_of_all_processes_are_the_batch(world, accumulate):
    batch = 7
    found = [micro_batches(4, batch, accumulate, rank, world) for rank in range(world)]
    assert len({len(part) for part in found}) == 1
    real = [p for rank in found for p in rank if p.weight]
    assert [k for p in real for k in p.samples] == list(range(28, 35))
    assert sum(p.weight for p in real) == pytest.approx(1.0)
    assert all(len(p.samples) for rank in found for p in rank)
