from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import stats

from memtk.noise import Noise, derive, seeded


def draw(noise):
    """Everything a stream can give, in order."""
    return torch.cat(
        [
            noise.normal(2, 3).flatten(1),
            noise.uniform(4),
            noise.integers(1000)[:, None].float(),
            noise.normal(1),
        ],
        dim=1,
    )  # (B, 12)


def test_row_i_is_the_same_whatever_the_batch():
    whole = draw(Noise(5, range(6)))
    for batch in ([3], [5, 3, 0], [3, 3, 1]):
        rows = draw(Noise(5, batch))
        assert all(torch.equal(row, whole[i]) for row, i in zip(rows, batch, strict=True))


def test_each_call_goes_on_with_the_streams():
    noise = Noise(0, [1, 2])
    first, second = noise.normal(3), noise.normal(3)
    assert not torch.equal(first, second)
    again = Noise(0, [1, 2])
    assert torch.equal(again.normal(3), first) and torch.equal(again.normal(3), second)


def test_streams_differ_by_index_and_by_seed():
    rows = [Noise(s, [i]).uniform(4)[0] for s in (0, 1, 2) for i in (0, 1, 2, 3)]
    assert len({tuple(row.tolist()) for row in rows}) == 12


def test_seed_and_index_do_not_mix():
    assert not torch.equal(Noise(1, [12]).uniform(4), Noise(11, [2]).uniform(4))
    assert not torch.equal(Noise(1, [2]).uniform(4), Noise(2, [1]).uniform(4))


def test_shapes_and_types_are_what_is_said():
    noise = Noise(0, [4, 5, 6])
    assert len(noise) == 3 and noise.indices == [4, 5, 6] and noise.seed == 0
    assert noise.normal(2, 5).shape == (3, 2, 5) and noise.normal().shape == (3,)
    assert noise.uniform(1).dtype == noise.normal(1).dtype == torch.float32
    assert noise.integers(3).dtype == torch.int64 and noise.integers(3).shape == (3,)
    assert len(noise.generators()) == 3


def test_an_empty_batch_has_empty_draws():
    noise = Noise(0, [])
    assert noise.normal(2, 2).shape == (0, 2, 2) and noise.uniform().shape == (0,)
    assert noise.integers(5).shape == (0,) and noise.integers(5).dtype == torch.int64


def test_the_numbers_are_normal_and_uniform():
    noise = Noise(3, range(50))
    assert stats.kstest(noise.normal(100).flatten().numpy(), "norm").pvalue > 1e-3
    assert stats.kstest(noise.uniform(100).flatten().numpy(), "uniform").pvalue > 1e-3
    counts = np.bincount(Noise(3, range(3000)).integers(5).numpy(), minlength=5)
    assert stats.chisquare(counts).pvalue > 1e-3


def test_streams_of_neighbouring_indices_are_uncorrelated():
    rows = Noise(0, range(40)).normal(500).double()
    correlation = torch.corrcoef(rows) - torch.eye(40)
    assert correlation.abs().max() < 5 / 500**0.5


def test_the_global_generator_is_neither_read_nor_moved():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = draw(Noise(0, [0, 1]))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(draw(Noise(0, [0, 1])), first)


def test_libraries_that_take_generators_draw_from_the_same_streams():
    ours, theirs = Noise(0, [3, 4]), Noise(0, [3, 4]).generators()
    want = torch.stack([torch.randn(2, 2, generator=g) for g in theirs])
    assert torch.equal(ours.normal(2, 2), want)


def test_numbers_are_moved_to_the_device_that_was_named():
    assert Noise(0, [0], "meta").normal(2).device.type == "meta"


KEYS = [(), ("a",), ("a", 1), (1, "a"), ("a1",), (("a", 1),), ("1",), (1,)]


@pytest.mark.parametrize("keys", KEYS)
def test_a_derived_seed_fits_a_generator_and_depends_on_every_key(keys):
    seed = derive(0, *keys)
    assert 0 <= seed < 2**63 and seed == derive(0, *keys) != derive(1, *keys)
    assert sum(derive(0, *other) == seed for other in KEYS) == 1


def test_a_derived_seed_is_the_same_in_another_process():
    code = "from memtk.noise import derive; print(derive(7, 'training', 3, (1, 'x')))"
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "99", "PATH": ""},
    )
    assert int(run.stdout) == derive(7, "training", 3, (1, "x"))


def test_a_seeded_block_depends_on_its_seed_and_leaks_nothing():
    before = torch.get_rng_state()
    with seeded(3):
        one = torch.rand(2)
    with seeded(3):
        other = torch.rand(2)
    assert torch.equal(one, other)
    assert torch.equal(before, torch.get_rng_state())
