"""Figures of a study: measures against what is varied, with seeds, nulls and intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from memtk.report.figures.style import (
    DASHED,
    MUTED,
    SERIES,
    as_uri,
    in_percent,
    label,
    panels,
    quiet,
)
from memtk.results.measures import main_measures
from memtk.results.seeds import Setting, measures_in
from memtk.results.study import SEED, StudyFile


@dataclass(frozen=True)
class Point:
    """A measure at one place of the axis below.

    Args:
        x: the place; of categories 0, 1, 2, ...
        values: one a seed.
        null: what nothing memorized, or real images, would score there; None where unknown.
        intervals: (low, high) of each seed alone, where there are any.
    """

    x: float
    values: tuple[float, ...]
    null: float | None = None
    intervals: tuple[tuple[float, float], ...] = ()

    @property
    def mean(self) -> float:
        """Of the seeds."""
        return sum(self.values) / len(self.values)


@dataclass(frozen=True)
class Line:
    """One series of points, with its name and its number, which decides on its colour."""

    name: str
    number: int
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Panel:
    """One measure with its lines; a share of images is drawn in percent."""

    title: str
    lines: tuple[Line, ...]
    share: bool = True


Get = Callable[[Setting, int | None], Point | None]


@dataclass(frozen=True)
class Layout:
    """Where each setting stands.

    Args:
        below: what the axis below means.
        places: of each setting: (place, series).
        ordered: whether the places are numbers, which follow one another.
    """

    below: str
    ticks: tuple[str, ...]
    places: tuple[tuple[int, int], ...]
    series: tuple[str, ...]
    ordered: bool = False


def lay_out(file: StudyFile, settings: Sequence[Setting]) -> Layout:
    """Lay the settings out along the first axis that is neither the seed nor the generator.

    What else is varied makes the series. Where nothing but the generator is varied it runs along
    the axis itself.
    """
    axes = [axis for axis in file.axes if axis.key != SEED]
    along = next((a for a in axes if a.key != "generator"), None)
    if along is None:
        names = tuple(dict.fromkeys(setting.label for setting in settings))
        along_them = tuple((names.index(setting.label), 0) for setting in settings)
        return Layout("", names, along_them, ("",))
    found = [setting.values.get(along.key, "") for setting in settings]
    ticks = [v for v in dict.fromkeys((*along.values, *found)) if v in found]
    rest = [axis for axis in axes if axis is not along]
    several = len({_base(setting) for setting in settings}) > 1
    series: list[str] = []
    places: list[tuple[int, int]] = []
    for setting in settings:
        said = [
            ("" if a.key == "generator" else f"{a.label} ") + setting.values.get(a.key, "")
            for a in rest
        ]
        if several and not any(axis.key == "generator" for axis in rest):
            said.insert(0, _base(setting))
        name = ", ".join(said)
        if name not in series:
            series.append(name)
        places.append((ticks.index(setting.values.get(along.key, "")), series.index(name)))
    sized = _sized(ticks, settings, along.key)
    ordered = all(_is_number(tick) for tick in ticks)
    return Layout(along.label, sized, tuple(places), tuple(series), ordered)


def _base(setting: Setting) -> str:
    return setting.first.components.generator.name


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _sized(ticks: Sequence[str], settings: Sequence[Setting], key: str) -> tuple[str, ...]:
    """Add the number of training images to the ticks, where it differs between them."""
    sizes = {
        tick: {round(s.first.used_training.images) for s in settings if s.values[key] == tick}
        for tick in ticks
    }
    if len({n for found in sizes.values() for n in found}) < 2:
        return tuple(ticks)
    return tuple(
        f"{tick}\n(N = {min(sizes[tick])})" if len(sizes[tick]) == 1 else tick for tick in ticks
    )


def settings_panel(
    layout: Layout, settings: Sequence[Setting], get: Get, title: str, *, share: bool = True
) -> Panel:
    """Return a panel of the last checkpoints: a line for each series, a point for each setting."""
    lines = []
    for number, name in enumerate(layout.series):
        points = []
        for setting, (place, series) in zip(settings, layout.places, strict=True):
            point = get(setting, None) if series == number else None
            if point is not None:
                points.append(replace(point, x=place))
        if points:
            lines.append(Line(name, number, tuple(sorted(points, key=lambda p: p.x))))
    return Panel(title, tuple(lines), share)


def steps_panel(settings: Sequence[Setting], get: Get, title: str, *, share: bool = True) -> Panel:
    """Return a panel of all checkpoints: a line for each setting, a point for each step."""
    lines = []
    for number, setting in enumerate(settings):
        found = [(step, get(setting, step)) for step in setting.steps()]
        points = tuple(replace(point, x=step) for step, point in found if point is not None)
        if len(points) > 1:  # one point is no course
            lines.append(Line(setting.label, number, points))
    return Panel(title, tuple(lines), share)


def measure_points(name: str) -> Get:
    """Return what finds the point of a measure of memorization."""

    def get(setting: Setting, step: int | None) -> Point | None:
        values = setting.measured(name, step)
        if not values:
            return None
        intervals = tuple(v.interval for v in values if v.interval is not None)
        null = setting.null(name, step) or None  # a line at 0 is the axis
        return Point(0, tuple(v.value for v in values if v.value is not None), null, intervals)

    return get


def quality_points(name: str) -> Get:
    """Return what finds the point of a quality measure; its null is what real images score."""

    def get(setting: Setting, step: int | None) -> Point | None:
        found = setting.quality(name, step)
        return Point(0, found.values, setting.real(name, step)) if found else None

    return get


def measure_titles(settings: Sequence[Setting]) -> list[tuple[str, str]]:
    """Return the copy rate, the exposed patients and the main measures, by name, with titles."""
    known = measures_in(settings)
    shown = [known[name] for name in ("copy_rate", "exposed") if name in known]
    shown += main_measures(known.values())
    return [
        (m.name, f"{m.protocol}: {m.record.title}".removeprefix(": ").replace("<=", "≤"))
        for m in shown
        if m.record.of
    ]


def draw_panels(
    drawn: Sequence[Panel],
    *,
    below: str,
    ticks: Sequence[str] | None = None,
    ordered: bool = True,
    null: str = "nothing memorized",
) -> str | None:
    """Return the figure as a `data:` URI; None where no panel has a point.

    A small dot is a seed, the large one their mean, the bar beside it their range; a thin bar is
    the interval of one seed alone. Dashed: the null.

    Args:
        drawn: one panel each; those without points are left out.
        below: what the axis below means.
        ticks: names of the places 0, 1, 2, ...; None where the axis is a number of steps.
        ordered: whether the places follow one another, so that a line may join them.
        null: what the dashed lines mean.
    """
    drawn = [panel for panel in drawn if any(line.points for line in panel.lines)]
    if not drawn:
        return None
    columns = min(3, max(2, len(drawn)))
    with quiet():
        figure = panels(len(drawn), width=10.35 / columns, height=2.75, columns=columns)
        for axes, panel in zip(figure.axes, drawn, strict=False):
            _draw(axes, panel, connected=ticks is None, ordered=ordered)
            label(axes, panel.title, below)
            if ticks is not None:
                axes.set_xticks(range(len(ticks)), ticks)
                axes.set_xlim(-0.5, len(ticks) - 0.5)
            else:
                axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
            if panel.share:
                in_percent(axes, _top(panel))
        _legend(figure.axes[0], drawn, null)
        return as_uri(figure)


def _draw(axes: Axes, panel: Panel, *, connected: bool, ordered: bool) -> None:
    scale = 100.0 if panel.share else 1.0
    count = len(panel.lines)
    for place, line in enumerate(panel.lines):
        color = SERIES[line.number % len(SERIES)]
        aside = 0.0 if connected else (place - (count - 1) / 2) * 0.6 / max(count, 2)
        xs = [point.x + aside for point in line.points]
        means = [scale * point.mean for point in line.points]
        style = "o-" if connected or ordered else "o"
        axes.plot(xs, means, style, markersize=5, color=color, clip_on=False, linewidth=1.4)
        for x, point in zip(xs, line.points, strict=True):
            _spread(axes, x, point, scale, color)
        _nulls(axes, xs, line, scale, color, connected)


def _spread(axes: Axes, x: float, point: Point, scale: float, color: str) -> None:
    values = [scale * v for v in point.values]
    if len(values) > 1:
        axes.plot([x, x], [min(values), max(values)], color=color, linewidth=4, alpha=0.25)
        axes.plot([x] * len(values), values, ".", color=color, markersize=3.5, alpha=0.8)
    for low, high in point.intervals:
        axes.plot([x, x], [scale * low, scale * high], color=color, linewidth=0.9, alpha=0.7)


def _nulls(
    axes: Axes, xs: Sequence[float], line: Line, scale: float, color: str, connected: bool
) -> None:
    known = [(x, p.null) for x, p in zip(xs, line.points, strict=True) if p.null is not None]
    if connected and len(known) > 1:
        places, nulls = zip(*known, strict=True)
        shown = [scale * null for null in nulls]
        axes.plot(places, shown, color=color, linestyle=DASHED, linewidth=1.1)
        return
    for x, null in known:
        if connected:
            axes.axhline(scale * null, color=color, linestyle=DASHED, linewidth=1.1)
        else:
            ends, heights = [x - 0.16, x + 0.16], [scale * null] * 2
            axes.plot(ends, heights, color=color, linestyle=(0, (2, 1.2)), linewidth=1.4)


def _top(panel: Panel) -> float:
    """Return the end of an axis in percent on which all can be seen: 10, 25, 50 or 100."""
    points = [point for line in panel.lines for point in line.points]
    largest = max(
        [v for p in points for v in p.values]
        + [p.null for p in points if p.null is not None]
        + [high for p in points for _, high in p.intervals]
    )
    return next((end for end in (10.5, 26.0, 52.0) if 100 * largest <= end / 1.05), 103.0)


def _legend(axes: Axes, drawn: Sequence[Panel], null: str) -> None:
    names = {line.number: line.name for panel in drawn for line in panel.lines}
    if len(names) > 1:
        for number, name in sorted(names.items()):
            axes.plot([], [], "o-", color=SERIES[number % len(SERIES)], markersize=5, label=name)
    if any(p.null is not None for panel in drawn for line in panel.lines for p in line.points):
        axes.plot([], [], color=MUTED, linestyle=DASHED, linewidth=1.1, label=null)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="best", fontsize=7.5)
