from __future__ import annotations

import random

import pytest
import torch

from memtk.testing.assertions import check_no_global_randomness


def test_what_the_call_returns_is_handed_on():
    assert check_no_global_randomness("f", lambda: torch.ones(2)).tolist() == [1, 1]


def test_python_s_own_generator_counts_too():
    with pytest.raises(AssertionError, match="f draws from the global generator of Python"):
        check_no_global_randomness("f", lambda: torch.tensor(random.random()))


def test_a_draw_that_is_not_used_counts_too():
    def call():
        torch.rand(1)
        return torch.ones(1)

    with pytest.raises(AssertionError, match="f draws from the global generator of torch"):
        check_no_global_randomness("f", call)


def test_the_states_are_put_back_even_where_the_check_fails():
    before = random.getstate(), torch.get_rng_state()
    with pytest.raises(AssertionError):
        check_no_global_randomness("f", lambda: torch.rand(1))
    assert random.getstate() == before[0] and torch.equal(torch.get_rng_state(), before[1])
