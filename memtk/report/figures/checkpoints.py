"""Figure: what was memorized in the course of training, with what chance would give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from memtk.report.figures.style import (
    LAST,
    MUTED,
    OTHER,
    SYNTHETIC,
    as_uri,
    in_percent,
    label,
    panels,
    quiet,
)
from memtk.results import Checkpoint, Conformal


@dataclass(frozen=True)
class Curve:
    """Shares over the checkpoints, None where one was not computed.

    Args:
        null: what a generator that has memorized nothing would score, or None.
    """

    name: str
    color: str
    shares: Sequence[float | None]
    null: float | None


def draw_checkpoints(checkpoints: Sequence[Checkpoint], training: int) -> str | None:
    """Return the figure as a `data:` URI; None for a single checkpoint, which has no course.

    Left: share of the training images memorized by each protocol. Right: share of the synthetic
    images that are copies. Dashed, in the same colour: what a generator that has memorized nothing
    would score.

    Args:
        checkpoints: in the order of their steps.
        training: N.
    """
    if len(checkpoints) < 2:
        return None
    steps = [c.step for c in checkpoints]
    with quiet():
        figure = panels(2)
        for axes, title, curves in (
            (figure.axes[0], "Training images memorized", _memorized(checkpoints, training)),
            (figure.axes[1], "Synthetic images that are copies", _copies(checkpoints)),
        ):
            _draw(axes, steps, curves)
            label(axes, title, "training steps")
        return as_uri(figure)


def _memorized(checkpoints: Sequence[Checkpoint], training: int) -> list[Curve]:
    dar = [c.protocols.dar for c in checkpoints]
    tests = [c.protocols.conformal for c in checkpoints]
    matched = [c.protocols.dar_matched.mem_fraction for c in checkpoints]
    reference = [d.mem_fraction for d in dar]
    flagged = [None if t.n_mem is None else t.n_mem / training for t in tests]
    curves = [
        Curve("reference rule", SYNTHETIC, reference, dar[-1].expected_mem_fraction),
        _conformal(tests[-1], [t.exposed_flagged_fraction for t in tests], flagged),
    ]
    if any(m is not None and abs(m - r) > 1e-6 for m, r in zip(matched, reference, strict=True)):
        curves.insert(1, Curve("at equal sizes", OTHER, matched, 0.05))
    return curves


def _copies(checkpoints: Sequence[Checkpoint]) -> list[Curve]:
    tests = [c.protocols.conformal for c in checkpoints]
    reference = [c.protocols.dar.copy_fraction for c in checkpoints]
    flagged = [c.protocols.conformal.n_copies / c.n_synthetic for c in checkpoints]
    return [
        Curve("reference rule", SYNTHETIC, reference, None),
        _conformal(tests[-1], [t.copies_flagged_fraction for t in tests], flagged),
    ]


def _conformal(
    test: Conformal, shares: Sequence[float | None], flagged: Sequence[float | None]
) -> Curve:
    """Draw the share with p <= alpha; what is flagged where no p-value can be that small."""
    if test.finest_p > test.alpha:
        return Curve("conformal, flagged", LAST, flagged, None)
    return Curve(f"conformal, p ≤ {test.alpha:g}", LAST, shares, test.copies_expected_fraction)


def _draw(axes: Axes, steps: list[int], curves: list[Curve]) -> None:
    for number, curve in enumerate(curves):
        points = [(s, 100 * v) for s, v in zip(steps, curve.shares, strict=True) if v is not None]
        if not points:
            continue
        x, y = zip(*points, strict=True)
        line = axes.plot(x, y, color=curve.color, marker="o", label=curve.name, clip_on=False)[0]
        if number == 0:  # drawn broad, so that it is seen below a curve that coincides with it
            line.set(linewidth=4.5, markersize=8, alpha=0.4, markeredgewidth=0)
        else:
            line.set(markersize=4.5)
        if curve.null is not None:
            axes.axhline(100 * curve.null, color=curve.color, linestyle=(0, (4, 3)), linewidth=1.1)
    axes.plot([], [], color=MUTED, linestyle=(0, (4, 3)), linewidth=1.1, label="nothing memorized")
    in_percent(axes, 103)
    axes.set_xticks(steps if len(steps) <= 8 else steps[:: -(-len(steps) // 8)])
    axes.legend(loc="upper left", bbox_to_anchor=(0, 0.99))
