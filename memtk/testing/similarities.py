"""What every similarity must keep to."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from memtk.errors import UserError
from memtk.interfaces import Similarity
from memtk.noise import Noise
from memtk.testing.randomness import check_no_global_randomness
from memtk.testing.rows import TOLERANCE
from memtk.testing.verdict import expect

WIDTH = 24
"""Values a row of the checks has."""


def check_similarity(cls: type, *, tolerance: float = TOLERANCE) -> None:
    """Check that a similarity can be tiled, and that nothing is more like a row than itself.

    Args:
        cls: made as `cls()`.
        tolerance: how far a value may move with the tile it is computed in, relative to the
            largest one.

    Raises:
        AssertionError: at the first rule that is broken, in one sentence.
    """
    similarity: Similarity = cls()
    name = cls.__name__
    space = getattr(similarity, "space", None)
    expect(
        space in ("embedding", "image"), f"{name}.space is {space!r}, not 'embedding' or 'image'"
    )
    rows = Noise(0, range(8)).normal(WIDTH)  # (8, F)
    for dtype in (torch.float32, torch.float64):
        check_dtype(similarity, rows.to(dtype))
    check_no_global_randomness(f"{name}.compare", lambda: _whole(similarity, rows, rows))
    check_prepare_works_by_row(similarity, rows, tolerance)
    check_tiles(similarity, rows.double(), tolerance)  # roots of about 0 are rough in float32
    check_self_is_the_maximum(similarity, rows.double())
    check_precision(similarity, rows.double())
    check_pairs(similarity, rows.double())
    check_rows_without_variance(similarity)


def check_dtype(similarity: Similarity, rows: Tensor) -> None:
    """Check the shapes, and that a search in float64 is one.

    Raises:
        AssertionError: with what is there and what was expected.
    """
    name = type(similarity).__name__
    prepared = similarity.prepare(rows)
    expect(
        prepared.dtype == rows.dtype,
        f"{name}.prepare makes {prepared.dtype} of {rows.dtype}; it must keep the dtype",
    )
    expect(
        prepared.dim() == 2 and len(prepared) == len(rows),
        f"{name}.prepare gives the shape {tuple(prepared.shape)}, expected ({len(rows)}, F')",
    )
    values = similarity.compare(prepared[:3], prepared)
    want = (3, len(rows))
    expect(
        tuple(values.shape) == want,
        f"{name}.compare gives the shape {tuple(values.shape)}, expected {want}",
    )
    expect(
        values.dtype == rows.dtype,
        f"{name}.compare makes {values.dtype} of {rows.dtype}; it must keep the dtype",
    )
    expect(bool(values.isfinite().all()), f"{name}.compare gives values that are not finite")


def check_prepare_works_by_row(
    similarity: Similarity, rows: Tensor, tolerance: float = TOLERANCE
) -> None:
    """Check that a set can be prepared in pieces.

    Raises:
        AssertionError: if a prepared row depends on the other rows.
    """
    whole = similarity.prepare(rows)
    alone = torch.cat([similarity.prepare(row[None]) for row in rows])
    off = float((alone - whole).abs().max())
    expect(
        off <= tolerance * float(whole.abs().max()),
        f"{type(similarity).__name__}.prepare makes another row of it alone (by {off:.2g}); it "
        "must work row by row",
    )


def check_tiles(similarity: Similarity, rows: Tensor, tolerance: float = TOLERANCE) -> None:
    """Check that tiles put together are the whole.

    Raises:
        AssertionError: if a value depends on the tile it is computed in.
    """
    p = similarity.prepare(rows)
    whole = similarity.compare(p, p)
    tiles = [
        torch.cat([similarity.compare(q, r) for r in p.split(3)], 1) for q in p.split(5)
    ]  # each (<= 5, R)
    off = float((torch.cat(tiles) - whole).abs().max())
    expect(
        off <= tolerance * float(whole.abs().max()),
        f"{type(similarity).__name__}.compare gives other values in tiles than for the whole (by "
        f"{off:.2g}); value (q, r) must depend on rows q and r alone",
    )


def check_self_is_the_maximum(similarity: Similarity, rows: Tensor) -> None:
    """Check that larger means more alike.

    Raises:
        AssertionError: if another row is more like a row than the row itself.
    """
    values = _whole(similarity, rows, rows)
    others = values.clone().fill_diagonal_(-torch.inf).amax(1)
    expect(
        bool((values.diagonal() > others).all()),
        f"{type(similarity).__name__}: another row is as like a row as the row itself; larger "
        "must mean more alike",
    )


def check_precision(similarity: Similarity, rows: Tensor) -> None:
    """Check that a value in float32 is as near to the float64 one as the search takes it to be.

    Raises:
        AssertionError: if it is farther off than `rounding` says (without it, than 8 sqrt(F')
            roundings of the largest value).
    """
    name = type(similarity).__name__
    exact = similarity.prepare(rows.double())
    rough = exact.float()
    want = torch.cat([similarity.compare(exact[i : i + 1], exact) for i in range(len(exact))])
    off = float((similarity.compare(rough, rough).double() - want).abs().max())
    unit = torch.finfo(torch.float32).eps / 2
    size = max(1.0, float(want.abs().max()))
    rounding: Any = getattr(similarity, "rounding", None)
    stated = rounding(rough, rough) if rounding else 8 * math.sqrt(exact.shape[1]) * unit * size
    expect(
        off <= stated + 4 * unit * size,
        f"{name}.compare is off by {off:.2g} in float32, more than the {stated:.2g} that "
        f"{'its rounding says' if rounding else 'is expected without a method rounding'}",
    )


def check_pairs(similarity: Similarity, rows: Tensor) -> None:
    """Check that `pairs`, where there is one, gives what `compare` gives, row by row.

    Raises:
        AssertionError: if it does not.
    """
    pairs: Any = getattr(similarity, "pairs", None)
    if pairs is None:
        return
    what = f"{type(similarity).__name__}.pairs"
    p = similarity.prepare(rows.double())
    values, want = pairs(p, p.flip(0)), similarity.compare(p, p.flip(0)).diagonal()
    expect(
        values.shape == want.shape,
        f"{what} gives the shape {tuple(values.shape)}, expected ({len(p)},)",
    )
    off = float((values - want).abs().max())
    expect(off <= 1e-6 * float(want.abs().max()), f"{what} is {off:.2g} off what compare gives")
    alone = torch.cat([pairs(p[i : i + 1], p.flip(0)[i : i + 1]) for i in range(len(p))])
    expect(torch.equal(alone, values), f"{what} gives a row other bits when it is computed alone")


def check_rows_without_variance(similarity: Similarity) -> None:
    """Check that a row of zeros, or of one value, is compared or refused.

    Raises:
        AssertionError: if it gives a value that is not finite.
    """
    rows = Noise(1, range(3)).normal(WIDTH)
    rows[0], rows[1] = 0, 1
    for row in rows[:2]:
        try:
            values = _whole(similarity, row[None], rows[2:])
        except UserError:
            continue
        expect(
            bool(values.isfinite().all()),
            f"{type(similarity).__name__} gives a value that is not finite for a constant row; "
            "prepare must refuse it with a UserError that names its index",
        )


def _whole(similarity: Similarity, queries: Tensor, references: Tensor) -> Tensor:
    return similarity.compare(similarity.prepare(queries), similarity.prepare(references))
