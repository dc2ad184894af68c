"""p-values finer than 1 / (V + 1), by a model of the strangers' tail: which images are copies."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from memtk.errors import many
from memtk.memorization.conformal import benjamini_hochberg, holm
from memtk.memorization.patients import PatientGroup, images_compared, similarities

Model = Literal["gumbel", "pareto", "ranks"]
"""What p-values are by."""

SHARE = 0.3
"""Share of the validation patients, the nearest, that a Pareto tail is fitted to: 8 to 100."""

SHAPE = 0.2
"""The least shape of a Pareto tail: few patients say little of it, and too heavy is on the safe
side."""

DRAWS = 200
"""Resamples of the patients."""

SOUND = 0.05
"""p-value of the check of a model below which it is not used."""

CHECKED = 200
"""Validation patients, the nearest, that a model is checked with."""


@dataclass(frozen=True)
class TailTest:
    """What is said of each of T tested units, images or patients.

    Args:
        p: of each, by the model, (T,), in (0, 1].
        rank_p: of each, by its rank among the strangers, (T,), in (0, 1].
        sure_p: of each, (T,), in (0, 1]: `p`, or that of its margin if it is larger.
        sure: which pass Holm at 5% by `sure_p`: with 95% confidence none of them is a stranger.
            bool (T,).
        suspect: which pass Benjamini-Hochberg at 10% by `p` or by `rank_p`: of these about one in
            ten may be a stranger. bool (T,).
        names: of the units, (T,): the patients in the order in which they first appear, or indices.
        model: that the p-values are by: "gumbel", "pareto", or "ranks" where no model holds.
        check: p-value of the check of that model; None for ranks.
        reason: why ranks were used; empty if a model was.
        strangers: validation patients that the units were compared with.
        margin: of the margins that `sure_p` takes in; None: names rest on the similarity alone.
        min_p: the p-value of each if it were given back verbatim, (T,): see `undetectable` for how
            many could not be suspects even so, as those with many images whose p-values are as
            many times as large.
    """

    p: np.ndarray
    rank_p: np.ndarray
    sure_p: np.ndarray
    sure: np.ndarray
    suspect: np.ndarray
    names: tuple[Hashable, ...]
    model: Model
    check: float | None
    reason: str
    strangers: int
    min_p: np.ndarray
    margin: MarginTest | None = None


@dataclass(frozen=True)
class MarginTest:
    """How seldom strangers stand out as much from the second nearest training patient.

    Args:
        p: of each of T units, (T,), in (0, 1].
        model: that the p-values are by: "ranks" where no model holds.
        check: p-value of the check of that model; None for ranks.
        strangers: margins that those of the units were compared with. By ranks no p-value is below
            1 / (strangers + 1), and Holm can name none of more than a twentieth as many units.
    """

    p: np.ndarray
    model: Model
    check: float | None
    strangers: int


def tail_test(
    tested: PatientGroup,
    strangers: PatientGroup,
    *,
    margin: MarginTest | None = None,
    levels: tuple[float, float] = (0.05, 0.1),
    seed: int = 0,
) -> TailTest:
    """Test each image, or patient, by how far beyond the strangers it lies, not by its rank alone.

    Ranks cannot name copies at the sizes that hospitals have: a similarity of 0.9999 where the
    nearest stranger has 0.83 gets the p-value of one of 0.84, 1 / (V + 1). Here the nearest
    similarities of the V validation patients get a model on a scale without an end, z = artanh(r)
    (Fisher) for a correlation and z = -log(d) for minus a distance (between vectors of length 1
    they differ by a constant where they are close), and the p-value is the upper end of the model's
    probability of lying beyond, patients resampled:

    1. Of 40 patients on a Gumbel distribution, that of the largest of many: by moments,
       `P(z > g) = 1 - exp(-exp(-(g - m) / b))`, b = sd sqrt(6) / pi; the upper 99% end.
    2. Of 20 patients on, or where that does not hold, a generalised Pareto tail beyond the value u
       with k of V above it: `P(z > g) = k / V (1 + xi (g - u) / sigma)^(-1 / xi)` (Pickands, Ann.
       Stat. 1975), by probability-weighted moments (Hosking and Wallis, Technometrics 1987) with a
       shape xi of at least 0.2; the upper 95% end.
    3. Otherwise ranks.

    **The assumption**: strangers nearer than all validation patients go on as these do. It is
    checked: each validation patient gets a p-value from the model of the others, and these must not
    be smaller than uniform ones (Simes, Biometrika 1986, at 5%). No check sees a kind of patients
    so rare that no validation patient is of it (with a share of 1% and V = 100, in 37% of draws):
    if images of that kind are much more alike than others are, its strangers look like copies. So
    who is sure must also stand out from the second nearest training *patient*, see
    `margin_test`: a stranger of that kind is about as near to several, a copy to one.

    Many copies of middling likeness pass Benjamini-Hochberg by their ranks and not by a model whose
    upper end few patients widen, so either will do. The model's ends leave room for that: of
    Gaussian patients the false share of the suspects is 0 to 7% where 10% are allowed (11
    settings, V = 20 to 200, 0 to 50% copies).

    Of patients with several images the largest similarity counts. They are compared with b random
    images of each validation patient that has as many, and the p-value of one with n images is
    `ceil(n / b)` times as large (Bonferroni).

    Args:
        tested: the units: patients, or, without patients, images; each with its similarity to the
            nearest reference.
        strangers: the validation images and patients, with theirs to the same references.
        margin: of each unit's margin, see `margin_test`; None: names rest on the similarity alone.
        levels: of Holm (sure) and of Benjamini-Hochberg (suspect).

    >>> strangers = PatientGroup(np.random.default_rng(0).normal(0.7, 0.05, 40))
    >>> found = tail_test(PatientGroup(np.array([0.999, 0.75, 0.7])), strangers)
    >>> found.sure.tolist(), found.suspect.tolist(), found.model
    ([True, False, False], [True, False, False], 'gumbel')
    """
    images = images_compared(tested, strangers, MODELS[-1][2])
    scale = _scale(strangers.similarity)
    units = scale(tested.largest())  # (T,)
    rng = np.random.default_rng(seed)
    drawn = scale(strangers.drawn_largest(images, DRAWS, rng))  # (draws, P)
    several = np.ceil(tested.sizes / images)
    top = scale(np.array([0.0 if strangers.similarity.max() <= 0 else 1.0]))  # of the same image
    ranked = scale(strangers.ranked_largest(images))  # (P,)
    both = np.r_[units, np.maximum(top, units.max())]
    model, check, modelled = _modelled(both, drawn, ranked, rng)
    patients = len(ranked)
    by_rank = np.minimum((1 + _reaching(ranked, units)) / (patients + 1) * several, 1.0)
    p, reason = by_rank, ""
    min_p = several / (patients + 1)
    if modelled is not None:
        p = np.minimum(modelled[:-1] * several, 1.0)
        min_p = np.minimum(min_p, modelled[-1] * several)
    else:
        reason = f"the nearest of {many(patients, 'validation patient')} do not look like one tail"
        if patients < (needed := MODELS[-1][2]):
            reason = f"{many(patients, 'validation patient', 'is/are')} too few to model their tail"
            reason += f": {needed} are needed"
    sure_p = p if margin is None else np.maximum(p, margin.p)
    sure = holm(sure_p, levels[0])
    suspect = either(p, by_rank, levels[1])
    names = tested.names
    return TailTest(
        p,
        by_rank,
        sure_p,
        sure,
        suspect,
        names,
        model,
        check,
        reason,
        patients,
        np.minimum(min_p, 1.0),
        margin,
    )


def either(p: np.ndarray, rank_p: np.ndarray, fdr: float) -> np.ndarray:
    """Return which units pass Benjamini-Hochberg by one of two p-values, bool (T,)."""
    return benjamini_hochberg(p, fdr) | benjamini_hochberg(rank_p, fdr)


def margin_test(
    tested: tuple[PatientGroup, np.ndarray],
    reference: tuple[np.ndarray, np.ndarray],
    *,
    seed: int = 0,
) -> MarginTest:
    """Return how seldom a stranger stands out as much from the second nearest patient.

    A copy shows one patient: of its similarity to that one and to the nearest training image of
    another patient, the difference on the scale of `tail_test` is large, however alike the kind of
    images is. Between vectors of length 1 it is the logarithm of the ratio of the distances, as in
    the test of Carlini et al. (arXiv 2301.13188) and in TwoNN (Facco et al., Sci. Rep. 2017), after
    whom `log(d_2 / d_1)` of strangers is exponential with the local dimension as its rate: it does
    not grow with the tightness of a kind, but does where a kind varies in few directions. The
    training patients are of every kind that the generator can have learnt, so they are among the
    reference, each by its nearest others. The models and their upper ends are those of `tail_test`.

    Of a patient with several images the largest margin counts, and the p-value is as many times as
    large (Bonferroni).

    Args:
        tested: of the tested images, (n,), and their patients: the similarity to the nearest
            training image; and that to the nearest one of another patient, (n,).
        reference: the same of strangers and of training patients, of one image each, (P,) and (P,).

    >>> rng = np.random.default_rng(0)
    >>> near, second = np.sort(rng.uniform(0.6, 0.7, (2, 100)), 0)[::-1]
    >>> tested = PatientGroup(np.array([0.99, 0.99]))
    >>> found = margin_test((tested, np.array([0.989, 0.6])), (near, second))
    >>> found.model, bool(found.p[0] > 0.01), bool(found.p[1] < 1e-4)
    ('gumbel', True, True)
    """
    near, far = (similarities(part, "reference images") for part in reference)
    scale = _scale(near)
    group, second = tested
    second = similarities(second, "tested images")
    margins = PatientGroup(scale(group.similarity) - scale(second), group.owner.tolist())
    others = scale(near) - scale(far)
    drawn = np.repeat(others[None], DRAWS, 0)
    units = margins.largest()
    model, check, p = _modelled(units, drawn, others, np.random.default_rng(seed))
    if p is None:
        p = (1 + _reaching(others, units)) / (len(others) + 1)
    return MarginTest(np.minimum(p * margins.sizes, 1.0), model, check, len(others))


def _modelled(
    units: np.ndarray, drawn: np.ndarray, ranked: np.ndarray, rng: np.random.Generator
) -> tuple[Model, float | None, np.ndarray | None]:
    """Return the first model that holds of strangers, its check and p-values (T,).

    Args:
        units: (T,).
        drawn: strangers (draws, P), which the p-values rest on.
        ranked: the same without chance (P,), of which the model is checked.
        rng: for the draws.
    """
    for name, fitted, fewest, upper in MODELS:
        if (
            drawn.shape[1] >= fewest
            and np.ptp(ranked) > 1e-9
            and (sound := _check(fitted, ranked)) >= SOUND
        ):
            some = rng.integers(0, drawn.shape[1], drawn.shape)
            tails = fitted(np.take_along_axis(drawn, some, 1))
            parts = np.array_split(units, len(units) // 4096 + 1)
            p = np.concatenate([np.quantile(tails.beyond(z), upper, axis=0) for z in parts])
            return name, sound, p
    return "ranks", None, None


def _reaching(strangers: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Return how many strangers (P,) are as near as each unit (T,)."""
    found: np.ndarray = len(strangers) - np.searchsorted(np.sort(strangers), units, side="left")
    return found


def _scale(similarity: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return what puts similarities on a scale without an end; equal images lie at 8.4 or 16."""
    if similarity.max() <= 0:  # minus a distance
        return lambda values: -np.log(np.clip(-values, 1e-7, FAR))
    if similarity.max() <= 1 + 1e-9:  # a correlation, and its rounding
        return lambda values: np.arctanh(np.clip(values, -1 + 1e-7, 1 - 1e-7))
    return lambda values: np.clip(values, -FAR, FAR)


FAR = 1e100
"""What an infinite distance or similarity is taken for."""


class _Gumbel:
    """Gumbel distributions of samples (..., n)."""

    def __init__(self, samples: np.ndarray) -> None:
        self.scale = np.maximum(samples.std(-1, ddof=1) * np.sqrt(6) / np.pi, 1e-12)
        self.mode = samples.mean(-1) - np.euler_gamma * self.scale

    def beyond(self, values: np.ndarray) -> np.ndarray:
        """Return the probability of a value beyond each of (T,), (..., T)."""
        steps = (values - self.mode[..., None]) / self.scale[..., None]
        return -np.expm1(-np.exp(-np.clip(steps, -700, 700)))


class _Pareto:
    """Generalised Pareto tails of samples (..., n)."""

    def __init__(self, samples: np.ndarray) -> None:
        n = samples.shape[-1]
        count = min(max(8, min(int(SHARE * n), 100)), n - 1)
        ranked = -np.sort(-samples, axis=-1)[..., : count + 1]
        self.share, self.threshold = count / n, ranked[..., -1]
        excess = ranked[..., :-1] - self.threshold[..., None]
        mean = excess.mean(-1)  # a_0
        # a_1: of the excess times the share of the others that exceed it
        second = (excess * np.arange(count)).mean(-1) / (count - 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            shape = np.nan_to_num(2 - mean / (mean - 2 * second), nan=SHAPE)
        self.shape = np.clip(shape, SHAPE, 0.9)
        self.scale = np.maximum(mean * (1 - self.shape), 1e-12)

    def beyond(self, values: np.ndarray) -> np.ndarray:
        """Return the same; 1 up to the threshold."""
        shape, scale, threshold = (x[..., None] for x in (self.shape, self.scale, self.threshold))
        tail = (1 + shape * np.maximum(values - threshold, 0) / scale) ** (-1 / shape)
        return np.where(values <= threshold, 1.0, self.share * tail)


MODELS: tuple[tuple[Model, type[_Gumbel] | type[_Pareto], int, float], ...] = (
    ("gumbel", _Gumbel, 40, 0.99),
    ("pareto", _Pareto, 20, 0.95),
)
"""Each with the validation patients that it takes, and the quantile over resampled patients."""


def _check(model: type[_Gumbel] | type[_Pareto], sample: np.ndarray) -> float:
    """Return the p-value of Simes of the patients (n,), each by the model of the others."""
    ranked = -np.sort(-sample)
    rows = np.arange(min(len(ranked), CHECKED))
    others = np.array([np.delete(ranked, row) for row in rows])  # (rows, n - 1)
    fitted = model(others)
    p = np.diagonal(fitted.beyond(ranked[rows]))
    return float(min(1.0, (np.sort(p) * len(ranked) / (rows + 1)).min()))
