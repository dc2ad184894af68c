"""Checks of tensors whose rows must be sound and stand alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from memtk.testing.verdict import expect

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
