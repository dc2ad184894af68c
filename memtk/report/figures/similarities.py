"""Figures: how near the nearest images are, planted copies found, and attacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from memtk.report.figures.style import (
    INK,
    LAST,
    MUTED,
    OTHER,
    REAL,
    SERIES,
    SYNTHETIC,
    as_uri,
    in_percent,
    label,
    panels,
    quiet,
)
from memtk.results import Found, Planted, Rate, SelfTest

MOST = 9
"""Settings of a study that are drawn."""


def draw_similarities(arrays: Mapping[str, np.ndarray], tau: float) -> str:
    """Return the figure as a `data:` URI.

    Left: each training image's similarity to its nearest validation image, and to its nearest
    synthetic one. Right: each validation and each synthetic image's similarity to its nearest
    training image. What lies right of tau the reference rule counts.

    Args:
        arrays: of one checkpoint, named as in `memtk.evaluation.Evaluation`.
    """
    with quiet():
        figure = panels(2)
        left, right = figure.axes
        compare(left, _from_training(arrays), tau)
        label(left, "From each training image", "similarity", "share of the images")
        found = (
            (arrays["validation_train"], REAL, "of validation images"),
            (arrays["synthetic_train"], SYNTHETIC, "of synthetic images"),
        )
        compare(right, found, tau)
        label(right, "To the nearest training image", "similarity", "share of the images")
        return as_uri(figure)


def draw_nearest(drawn: Sequence[tuple[str, Mapping[str, np.ndarray], float]]) -> str | None:
    """Return the figure as a `data:` URI; None of nothing.

    Each training image's similarity to its nearest validation image, and to its nearest synthetic
    one, as in figure 2 of Dar et al. (arXiv 2402.01054).

    Args:
        drawn: (title, arrays of one checkpoint, tau); the first `MOST` are drawn.
    """
    if not drawn:
        return None
    shown = drawn[:MOST]
    columns = min(3, max(2, len(shown)))
    with quiet():
        figure = panels(len(shown), width=10.35 / columns, height=2.4, columns=columns)
        for axes, (title, arrays, tau) in zip(figure.axes, shown, strict=False):
            compare(axes, _from_training(arrays), tau)
            label(axes, title, "similarity", "share of the training images")
        for axes in figure.axes[: len(shown)]:  # the words below say what is what
            if (legend := axes.get_legend()) is not None:
                legend.remove()
        return as_uri(figure)


Drawn = tuple[np.ndarray, str, str]
"""Similarities, and their colour and name."""


def _from_training(arrays: Mapping[str, np.ndarray]) -> tuple[Drawn, Drawn]:
    return (
        (arrays["train_validation"], REAL, "nearest validation image"),
        (arrays["train_synthetic"], SYNTHETIC, "nearest synthetic image"),
    )


def compare(axes: Axes, sets: tuple[Drawn, Drawn], tau: float) -> None:
    """Draw two sets of similarities, each with its colour and name, and tau: a shape, a line."""
    values = np.concatenate([each for each, _, _ in sets] + [[tau]])
    edges = np.linspace(values.min(), values.max() + 1e-9, _bins(len(sets[0][0])) + 1)
    edges = edges if edges[-1] > edges[0] else np.linspace(edges[0] - 0.5, edges[0] + 0.5, 3)
    for (each, color, name), filled in zip(sets, (True, False), strict=True):
        shares = np.histogram(each, edges)[0] / len(each)
        axes.stairs(
            100 * shares,
            edges,
            color=color,
            fill=filled,
            alpha=0.55 if filled else 1.0,
            linewidth=0 if filled else 2.0,
            label=name,
        )
    axes.axvline(tau, color=INK, linewidth=1.1, linestyle=(0, (4, 2)))
    left = tau > edges[0] + 0.75 * (edges[-1] - edges[0])  # of the line, where no legend is
    axes.annotate(
        f"τ = {tau:.3f}",
        (tau, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(-4 if left else 4, -2),
        textcoords="offset points",
        ha="right" if left else "left",
        va="top",
        fontsize=8.5,
    )
    axes.legend(loc="upper left")
    axes.margins(x=0.01)
    in_percent(axes, axes.get_ylim()[1] * 1.3)  # room for the legend


def _bins(count: int) -> int:
    return int(np.clip(np.ceil(2 * count ** (1 / 2)), 12, 60))


_CURVES: tuple[tuple[str, str, str, str, Callable[[Found], Rate]], ...] = (
    ("conformal, p ≤ α", OTHER, "o", "-", lambda found: found.conformal),
    ("reference rule", SYNTHETIC, "s", "-", lambda found: found.dar),
    ("nearer than every validation image", LAST, "^", "-", lambda found: found.min_p),
    ("of those found: the right training image", INK, "D", ":", lambda found: found.right_image),
)
_STEP = 0.09
"""Offset of one curve from the next along x, so that their intervals can be told apart."""


def draw_planted(selftest: SelfTest) -> str | None:
    """Return the figure as a `data:` URI: one panel a kind with the share found at each strength.

    None where the copies were given, and nothing is known of kinds and strengths.

    Kinds without a strength share the first panel, with the mixed copies. Bars are Clopper-Pearson
    intervals. On grey ground: stronger than what the mixed copies use.
    """
    if not selftest.plants:
        return None
    kinds: dict[str, list[Planted]] = {}
    for plant in selftest.plants:
        kinds.setdefault(plant.kind, []).append(plant)
    single = [plants[0] for plants in kinds.values() if len(plants) == 1]
    graded = {kind: plants for kind, plants in kinds.items() if len(plants) > 1}
    with quiet():
        figure = panels(1 + len(graded), width=3.45, height=2.3, columns=3)
        axes = iter(figure.axes)
        first = next(axes)
        names = [*(plant.kind for plant in single), "mixed"]
        _draw(first, names, [*(plant.found for plant in single), selftest.sensitivity], line=False)
        label(first, "Without a strength, and mixed")
        for kind, plants in graded.items():
            panel, plants = next(axes), sorted(plants, key=lambda plant: plant.strength)
            strengths = [f"{plant.strength:g}" for plant in plants]
            _draw(panel, strengths, [plant.found for plant in plants], line=True)
            label(panel, kind.capitalize(), plants[0].unit)
            beyond = [i for i, plant in enumerate(plants) if not plant.nominal]
            if beyond:
                panel.axvspan(beyond[0] - 0.5, len(plants) - 0.5, color=MUTED, alpha=0.1, lw=0)
        handles, texts = first.get_legend_handles_labels()
        figure.legend(handles, texts, loc="outside lower center", ncols=2)
        return as_uri(figure)


def _draw(axes: Axes, names: Sequence[str], found: Sequence[Found], *, line: bool) -> None:
    place = np.arange(len(names))
    for number, (name, color, marker, dash, chosen) in enumerate(_CURVES):
        # of no copy found, none is right or wrong: nothing to draw
        rates = [(x, r) for x, r in zip(place, map(chosen, found), strict=True) if r.n]
        if not rates:  # an empty curve would be laid out at the figure's corner
            continue
        middle = np.array([100 * r.rate for _, r in rates])
        below = np.array([100 * r.low for _, r in rates])
        above = np.array([100 * r.high for _, r in rates])
        axes.errorbar(
            np.array([x for x, _ in rates]) + (number - (len(_CURVES) - 1) / 2) * _STEP,
            middle,
            yerr=np.abs(np.stack([middle - below, above - middle])),
            color=color,
            marker=marker,
            markersize=3.6,
            linewidth=1.2,
            elinewidth=0.9,
            linestyle=dash if line else "none",
            label=name,
            clip_on=False,
        )
    axes.set_xticks(place, names)
    axes.set_xlim(-0.5, len(names) - 0.5)
    in_percent(axes, 103)


def draw_attacks(curves: Mapping[str, tuple[np.ndarray, np.ndarray]], patients: int) -> str | None:
    """Return the figure as a `data:` URI; None without curves.

    Left the whole curve; right the same on logarithmic axes, where few false alarms are seen. On
    grey ground: rates that so few non-member patients cannot carry.

    Args:
        curves: false and true positive rates of each attack, ascending, by its name.
        patients: non-member patients Q.
    """
    if not curves:
        return None
    with quiet():
        figure = panels(2, width=4.4, height=3.5)
        whole, low = figure.axes
        floor = 1 / (2 * patients)
        for number, (name, (fpr, tpr)) in enumerate(curves.items()):
            color = SERIES[number % len(SERIES)]
            whole.step(100 * fpr, 100 * tpr, color=color, where="post", label=name)
            # on logarithmic axes zero is drawn at the left and lower edge
            low.step(
                100 * np.maximum(fpr, floor),
                100 * np.maximum(tpr, floor),
                color=color,
                where="post",
                label=name,
            )
        _chance(whole, 0)
        _chance(low, 100 * floor)
        low.axvspan(100 * floor, 100 / patients, color=MUTED, alpha=0.1, lw=0)
        low.set(xscale="log", yscale="log", xlim=(100 * floor, 100), ylim=(100 * floor, 115))
        whole.set(xlim=(0, 100), ylim=(0, 102))
        for axes, title in ((whole, "Whole curve"), (low, "Few false alarms")):
            axes.grid(True, axis="both")
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter(lambda value, _: f"{value:g}%")
            label(axes, title, "non-members taken for members", "members found")
        whole.legend(loc="lower right")
        return as_uri(figure)


def _chance(axes: Axes, start: float) -> None:
    """Draw what a coin would find."""
    ends = (start, 100)
    axes.plot(ends, ends, color=REAL, linewidth=1.0, linestyle=(0, (4, 2)), label="chance")
