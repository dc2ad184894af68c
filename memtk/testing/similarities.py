"""What every similarity must keep to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from scipy.stats import binom
from torch import Tensor

from memtk.errors import UserError
from memtk.interfaces import Similarity
from memtk.memorization import p_values
from memtk.noise import Noise, derive
from memtk.testing.assertions import applies, check_no_global_randomness, expect
from memtk.testing.case import Case

WIDTH = 24
"""Values a row of the checks has."""


def check_space_is_known(case: Case) -> None:
    """It says whether it compares embeddings or images."""
    space = getattr(case.make(), "space", None)
    expect(
        space in ("embedding", "image"),
        f"{case.cls.__name__}.space is {space!r}, not 'embedding' or 'image'",
    )


def check_dtypes_and_shapes_are_kept(case: Case) -> None:
    """(N, F) becomes (N, F'), two of these (Q, R); a search in float64 is one."""
    similarity, name = case.make(), case.cls.__name__
    for dtype in (torch.float32, torch.float64):
        rows = _rows().to(dtype)
        prepared = similarity.prepare(rows)
        expect(
            prepared.dtype == dtype,
            f"{name}.prepare makes {prepared.dtype} of {dtype}; it must keep the dtype",
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
            values.dtype == dtype,
            f"{name}.compare makes {values.dtype} of {dtype}; it must keep the dtype",
        )


def check_similarities_are_finite(case: Case) -> None:
    """Two sound rows have a finite similarity."""
    values = _whole(case.make(), _rows(), _rows())
    expect(
        bool(values.isfinite().all()),
        f"{case.cls.__name__}.compare gives values that are not finite",
    )


def check_comparing_uses_no_global_random_state(case: Case) -> None:
    """A similarity is a function of two rows."""
    rows, similarity = _rows(), case.make()
    what = f"{case.cls.__name__}.compare"
    check_no_global_randomness(what, lambda: _whole(similarity, rows, rows))


def check_rows_are_prepared_one_by_one(case: Case) -> None:
    """A prepared row does not depend on the other rows: a set is prepared in pieces."""
    similarity, rows = case.make(), _rows()
    whole = similarity.prepare(rows)
    alone = torch.cat([similarity.prepare(row[None]) for row in rows])
    off = float((alone - whole).abs().max())
    expect(
        off <= case.tolerance * float(whole.abs().max()),
        f"{case.cls.__name__}.prepare makes another row of it alone (by {off:.2g}); it "
        "must work row by row",
    )


def check_tiles_make_the_whole(case: Case) -> None:
    """Value (q, r) depends on rows q and r alone, whatever tile it is computed in."""
    similarity = case.make()
    p = similarity.prepare(_rows().double())  # roots of about 0 are rough in float32
    whole = similarity.compare(p, p)
    tiles = [
        torch.cat([similarity.compare(q, r) for r in p.split(3)], 1) for q in p.split(5)
    ]  # each (<= 5, R)
    off = float((torch.cat(tiles) - whole).abs().max())
    expect(
        off <= case.tolerance * float(whole.abs().max()),
        f"{case.cls.__name__}.compare gives other values in tiles than for the whole (by "
        f"{off:.2g}); value (q, r) must depend on rows q and r alone",
    )


def check_a_row_is_most_like_itself(case: Case) -> None:
    """Larger means more alike."""
    rows = _rows().double()
    values = _whole(case.make(), rows, rows)
    others = values.clone().fill_diagonal_(-torch.inf).amax(1)
    expect(
        bool((values.diagonal() > others).all()),
        f"{case.cls.__name__}: another row is as like a row as the row itself; larger "
        "must mean more alike",
    )


def check_either_order_gives_the_same_similarity(case: Case) -> None:
    """s(q, r) = s(r, q): the nearest training image and the nearest copy are one pair."""
    rows = _rows().double()
    values = _whole(case.make(), rows, rows)
    off = float((values - values.T).abs().max())
    expect(
        off <= case.tolerance * float(values.abs().max()),
        f"{case.cls.__name__} gives another value when query and reference change places (by "
        f"{off:.2g})",
    )


def check_float32_is_as_near_as_it_says(case: Case) -> None:
    """A value in float32 is off by `rounding` at most, else by 8 sqrt(F') roundings."""
    similarity, name = case.make(), case.cls.__name__
    exact = similarity.prepare(_rows().double())
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


def check_pairs_give_what_compare_gives(case: Case) -> None:
    """`pairs`, where there is one, gives the same values, and a row the same bits alone."""
    similarity = case.make()
    pairs: Any = getattr(similarity, "pairs", None)
    applies(pairs is not None, "it has no method pairs")
    what = f"{case.cls.__name__}.pairs"
    p = similarity.prepare(_rows().double())
    values, want = pairs(p, p.flip(0)), similarity.compare(p, p.flip(0)).diagonal()
    expect(
        values.shape == want.shape,
        f"{what} gives the shape {tuple(values.shape)}, expected ({len(p)},)",
    )
    off = float((values - want).abs().max())
    expect(off <= 1e-6 * float(want.abs().max()), f"{what} is {off:.2g} off what compare gives")
    alone = torch.cat([pairs(p[i : i + 1], p.flip(0)[i : i + 1]) for i in range(len(p))])
    expect(torch.equal(alone, values), f"{what} gives a row other bits when it is computed alone")


def check_compare_into_writes_what_compare_gives(case: Case) -> None:
    """`compare_into`, where there is one, fills a tile that need not be contiguous."""
    similarity = case.make()
    compare_into: Any = getattr(similarity, "compare_into", None)
    applies(compare_into is not None, "it has no method compare_into")
    p = similarity.prepare(_rows())
    out = torch.full((len(p), 2 * len(p)), torch.nan)[:, ::2]  # (Q, R)
    compare_into(p, p, out)
    off = float((out - similarity.compare(p, p)).abs().max())
    expect(
        off <= case.tolerance * max(1.0, float(out.abs().max())),
        f"{case.cls.__name__}.compare_into writes other values than compare gives (by {off:.2g})",
    )


def check_constant_rows_are_compared_or_refused(case: Case) -> None:
    """A row of zeros, or of one value, is compared or a `UserError`; never NaN."""
    similarity = case.make()
    rows = Noise(1, range(3)).normal(WIDTH)
    rows[0], rows[1] = 0, 1
    for row in rows[:2]:
        try:
            values = _whole(similarity, row[None], rows[2:])
        except UserError:
            continue
        expect(
            bool(values.isfinite().all()),
            f"{case.cls.__name__} gives a value that is not finite for a constant row; "
            "prepare must refuse it with a UserError that names its index",
        )


def _rows() -> Tensor:
    return Noise(0, range(8)).normal(WIDTH)  # (8, F)


def _whole(similarity: Similarity, queries: Tensor, references: Tensor) -> Tensor:
    return similarity.compare(similarity.prepare(queries), similarity.prepare(references))


class NegativeDistance:
    """Minus the Euclidean distance: the similarity of the checks."""

    space: Literal["embedding", "image"] = "image"

    def prepare(self, rows: Tensor) -> Tensor:
        """Return rows (N, F) as they are."""
        return rows

    def compare(self, queries: Tensor, references: Tensor) -> Tensor:
        """Return the similarities (Q, R)."""
        return -torch.cdist(queries, references, compute_mode="donot_use_mm_for_euclid_dist")


ALPHA = 0.05
"""Level of the conformal test: the rate at which strangers are flagged."""

TRIALS = 200
"""Independent draws of all sets; one tested image of each is looked at."""

SURE = 1e-4
"""How seldom a sound protocol falls outside the bounds, on either side."""

SIZES = (40, 39, 40)
"""Training, validation and synthetic images: N, V, M. V + 1 = 2 / ALPHA: 5% can be hit exactly."""

UNEQUAL = ((20, 19, 80), (80, 19, 20))
"""Other sizes at which nothing may change."""


@dataclass(frozen=True)
class Sets:
    """Prepared rows of a similarity: training (N, F), validation (V, F), synthetic (M, F)."""

    training: Tensor
    validation: Tensor
    synthetic: Tensor


def _flags(similarity: Similarity, sets: Sets) -> np.ndarray:
    """Flag synthetic images by their conformal p-values at the level `ALPHA`: bool (M,)."""
    synthetic = similarity.compare(sets.synthetic, sets.training).amax(1)  # (M,)
    validation = similarity.compare(sets.validation, sets.training).amax(1)  # (V,)
    return p_values(synthetic.numpy(), validation.numpy()) <= ALPHA


def check_strangers_are_flagged_at_the_nominal_rate(case: Case) -> None:
    """Independent images are flagged in about 5% of the trials, by exact binomial bounds."""
    _check_rate(case, SIZES)


def check_set_sizes_change_no_rate(case: Case) -> None:
    """The same with four times as many synthetic as validation images, and training images."""
    for sizes in UNEQUAL:
        _check_rate(case, sizes)


def check_more_planted_copies_flag_more(case: Case) -> None:
    """With 0, 10, 20 and 40 copies among 40 images, more and more is flagged; all at the end."""
    similarity = case.make()
    found = [_flagged(similarity, planted) for planted in (0, 10, 20, 40)]
    rising = all(a < b for a, b in zip(found[:-1], found[1:], strict=True))
    expect(
        rising and found[-1] > 0.9,
        f"{case.cls.__name__}: with 0, 10, 20 and 40 copies planted among 40 images, "
        f"{', '.join(f'{share:.0%}' for share in found)} are flagged; it must rise to almost all",
    )


def check_duplicates_change_nothing(case: Case) -> None:
    """With every training image there twice, the same share of the tested images is flagged."""
    similarity = case.make()
    sets = _planted(similarity, 12)
    doubled = Sets(torch.cat([sets.training] * 2), sets.validation, sets.synthetic)
    once, twice = (float(_flags(similarity, s).mean()) for s in (sets, doubled))
    expect(
        abs(once - twice) <= 0.03,  # a percentile of 80 values lies a little beside that of 40
        f"{case.cls.__name__}: {once:.0%} are flagged, and {twice:.0%} when every training image "
        "is there twice",
    )


def _check_rate(case: Case, sizes: tuple[int, int, int]) -> None:
    similarity, count = case.make(), 0
    rows = similarity.prepare(_draw(0, TRIALS * sum(sizes)))
    for trial in rows.split(sum(sizes)):
        count += int(_flags(similarity, Sets(*trial.split(sizes)))[0])
    low, high = (int(binom.ppf(q, TRIALS, ALPHA)) for q in (SURE, 1 - SURE))
    expect(
        low <= count <= high,
        f"{case.cls.__name__}: a stranger's image is flagged in {count} of {TRIALS} trials at "
        f"sizes {sizes}; at {ALPHA:.0%} it must be {low} to {high}",
    )


def _flagged(similarity: Similarity, planted: int) -> float:
    """Return the share that is flagged, over five draws."""
    sets = [_planted(similarity, planted, seed) for seed in range(5)]
    return float(np.mean([_flags(similarity, one).mean() for one in sets]))


def _planted(similarity: Similarity, count: int, seed: int = 0) -> Sets:
    """Return sets in which the first `count` synthetic images are near copies."""
    training, validation, synthetic = _draw(derive(seed, "sets"), sum(SIZES)).split(SIZES)
    noise = _draw(derive(seed, "copies"), count)
    copies = training[:count] + 0.05 * noise
    rows = torch.cat([training, validation, copies, synthetic[count:]])
    return Sets(*similarity.prepare(rows).split(SIZES))


def _draw(seed: int, count: int) -> Tensor:
    """Return independent rows: float64 (count, WIDTH)."""
    return Noise(seed, [0]).normal(count, WIDTH)[0].double()
