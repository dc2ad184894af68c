"""How a check fails; checks of tensors and of randomness that many checks are made of."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn


class DoesNotApply(Exception):
    """Raised by a check that has nothing to look at in this component; the message says why."""


def expect(true: bool, otherwise: str) -> None:
    """Go on if `true`.

    Raises:
        AssertionError: with the sentence `otherwise`. (`assert` itself is left out by `python -O`.)
    """
    if not true:
        raise AssertionError(otherwise)


def applies(true: bool, otherwise: str) -> None:
    """Go on if `true`.

    Raises:
        DoesNotApply: with the sentence `otherwise`.
    """
    if not true:
        raise DoesNotApply(otherwise)


TOLERANCE = 3e-5
"""How far a row may move with the batch it is computed in, relative to the largest value."""


def check_rows(what: str, rows: Tensor, shape: Sequence[int]) -> None:
    """Check type, shape and finiteness.

    Raises:
        AssertionError: with what is there and what was expected.
    """
    expect(isinstance(rows, Tensor), f"{what} gives a {type(rows).__name__}, not a tensor")
    expect(rows.dtype == torch.float32, f"{what} gives {rows.dtype}, not torch.float32")
    found, want = tuple(rows.shape), tuple(shape)
    expect(found == want, f"{what} gives the shape {found}, expected {want}")
    expect(bool(rows.isfinite().all()), f"{what} gives values that are not finite")


def check_images(what: str, x: Tensor, shape: Sequence[int]) -> None:
    """Check images (B, C, *S): as `check_rows`, and within [-1, 1].

    Raises:
        AssertionError: with what is there and what was expected.
    """
    check_rows(what, x, shape)
    low, high = float(x.min()), float(x.max())
    expect(
        low >= -1 - 1e-6 and high <= 1 + 1e-6,
        f"{what} gives values from {low:.3g} to {high:.3g}; images lie in [-1, 1]",
    )


def check_rows_stand_alone(
    what: str, compute: Callable[[list[int]], Tensor], count: int, tolerance: float = TOLERANCE
) -> None:
    """Compare what `compute` gives for all indices at once with each alone and in another order.

    Raises:
        AssertionError: if a row depends on the others in its batch.
    """
    whole = compute(list(range(count)))
    scale = max(1.0, float(whole.abs().max()))
    backwards = compute(list(reversed(range(count)))).flip(0)
    alone = torch.cat([compute([index]) for index in range(count)])
    for other, how in ((alone, "computed alone"), (backwards, "in a batch of another order")):
        off = float((other - whole).abs().max())
        expect(
            off <= tolerance * scale,
            f"{what} gives another row when it is {how} (by {off:.2g}); row i must depend on "
            "row i of its input alone",
        )


def check_no_global_randomness(what: str, call: Callable[[], Tensor]) -> Tensor:
    """Call twice under different global seeds; return what the second call gave.

    The global generators of torch, numpy and Python are left as they were found.

    Raises:
        AssertionError: if a call moves one of them, or what it returns depends on them.
    """
    with global_generators_kept():
        first, second = (check_no_global_draw(what, call, seed) for seed in (1, 2))
    expect(
        first.shape == second.shape
        and bool(torch.isclose(first, second, rtol=0, atol=0, equal_nan=True).all()),
        f"{what} gives other values when it is called again under another global seed; it must "
        "draw from its argument alone",
    )
    return second


@contextmanager
def global_generators_kept() -> Iterator[None]:
    """Leave the global generators of torch, numpy and Python as they were before a block."""
    kept = torch.get_rng_state(), np.random.get_state(), random.getstate()
    try:
        yield
    finally:
        torch.set_rng_state(kept[0])
        np.random.set_state(kept[1])
        random.setstate(kept[2])


def check_no_global_draw(what: str, call: Callable[[], Tensor], seed: int) -> Tensor:
    """Call under a global seed, within `global_generators_kept`; return a copy of what it gave.

    Raises:
        AssertionError: if the call moves the global generator of torch, numpy or Python.
    """
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


def unchanged_by(model: nn.Module, call: Callable[[], object]) -> str:
    """Return the first weight or buffer that a call changes, an empty string if none."""
    before = {name: value.detach().clone() for name, value in model.state_dict().items()}
    call()
    after = model.state_dict()
    for name in [*before, *after]:
        if name not in before or name not in after or not torch.equal(before[name], after[name]):
            return name
    return ""
