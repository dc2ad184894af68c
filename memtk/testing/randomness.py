"""Checks that a component draws from what it is handed and from nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from memtk.testing.verdict import expect


def check_no_global_randomness(what: str, call: Callable[[], Tensor]) -> Tensor:
    """Call twice under different global seeds; return what the second call gave.

    The global generators of torch, numpy and Python are left as they were found.

    Raises:
        AssertionError: if a call moves one of them, or what it returns depends on them.
    """
    kept = torch.get_rng_state(), np.random.get_state(), random.getstate()
    try:
        first, second = (_seeded_call(what, call, seed) for seed in (1, 2))
    finally:
        torch.set_rng_state(kept[0])
        np.random.set_state(kept[1])
        random.setstate(kept[2])
    expect(
        first.shape == second.shape
        and bool(torch.isclose(first, second, rtol=0, atol=0, equal_nan=True).all()),
        f"{what} gives other values when it is called again under another global seed; it must "
        "draw from its argument alone",
    )
    return second


def _seeded_call(what: str, call: Callable[[], Tensor], seed: int) -> Tensor:
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
    before = _states()
    result = call()
    expect(isinstance(result, Tensor), f"{what} gives a {type(result).__name__}, not a tensor")
    result = result.detach().clone()
    for library, state in _states().items():
        expect(
            state == before[library],
            f"{what} draws from the global generator of {library}; it must draw from its argument",
        )
    return result


def _states() -> dict[str, object]:
    name, keys, *rest = np.random.get_state()
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": (name, np.asarray(keys).tobytes(), *rest),
        "Python": random.getstate(),
    }
