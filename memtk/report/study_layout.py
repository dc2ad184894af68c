"""How a study is laid out in figures: what runs along the axis, and what has its own colour."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from memtk.report.figures import Line, Panel, Point
from memtk.results.study import SEED, StudyAxis, StudyFile
from memtk.results.study_measures import MEASURES, Measure
from memtk.results.study_settings import Setting

Get = Callable[[Setting, int | None], Point | None]


@dataclass(frozen=True)
class Layout:
    """Where each setting stands.

    Args:
        below: what the axis below means.
        ticks: its places.
        places: of each setting: (place, series).
        series: names of the series.
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
    ticks = [v for v in along.values if any(s.values[along.key] == v for s in settings)]
    rest = [axis for axis in axes if axis is not along]
    several = len({_base(setting) for setting in settings}) > 1
    series: list[str] = []
    places: list[tuple[int, int]] = []
    for setting in settings:
        said = [setting.values[a.key] if a.key == "generator" else _said(setting, a) for a in rest]
        if several and not any(axis.key == "generator" for axis in rest):
            said.insert(0, _base(setting))
        name = ", ".join(said)
        if name not in series:
            series.append(name)
        places.append((ticks.index(setting.values[along.key]), series.index(name)))
    sized = _sized(ticks, settings, along.key)
    ordered = all(_is_number(tick) for tick in ticks)
    return Layout(along.label, sized, tuple(places), tuple(series), ordered)


def _said(setting: Setting, axis: StudyAxis) -> str:
    return f"{axis.label} {setting.values[axis.key]}"


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


def settings_panel(layout: Layout, settings: Sequence[Setting], get: Get, title: str) -> Panel:
    """Return a panel of the last checkpoints: a line for each series, a point for each setting."""
    lines = []
    for number, name in enumerate(layout.series):
        points = []
        for setting, (place, series) in zip(settings, layout.places, strict=True):
            point = get(setting, None) if series == number else None
            if point is not None:
                points.append(_moved(point, place))
        if points:
            lines.append(Line(name, number, tuple(sorted(points, key=lambda p: p.x))))
    return Panel(title, tuple(lines))


def steps_panel(settings: Sequence[Setting], get: Get, title: str) -> Panel:
    """Return a panel of all checkpoints: a line for each setting, a point for each step."""
    lines = []
    for number, setting in enumerate(settings):
        found = [(step, get(setting, step)) for step in setting.steps()]
        points = tuple(_moved(point, step) for step, point in found if point is not None)
        if len(points) > 1:  # one point is no course
            lines.append(Line(setting.label, number, points))
    return Panel(title, tuple(lines))


def measure_points(measure: Measure) -> Get:
    """Return what finds the point of a memorization measure."""

    def get(setting: Setting, step: int | None) -> Point | None:
        values = setting.measured(measure.key, step)
        if not values:
            return None
        intervals = [(v.low, v.high) for v in values if v.low is not None and v.high is not None]
        null = None if measure.key == "copy_rate" else setting.null(measure.key, step)
        return Point(0, tuple(v.share for v in values), null, tuple(intervals))

    return get


def quality_points(name: str) -> Get:
    """Return what finds the point of a quality measure; its null is what real images score."""

    def get(setting: Setting, step: int | None) -> Point | None:
        found = setting.quality(name, step)
        return Point(0, found.values, setting.real(name, step)) if found else None

    return get


def measure_titles() -> list[tuple[Measure, str]]:
    """Return the measures with titles that say of which images they are."""
    of = {"memorized": "Training images", "copies": "Synthetic images"}
    return [(measure, f"{of[measure.side]}: {measure.title}") for measure in MEASURES]


def _moved(point: Point, x: float) -> Point:
    return Point(x, point.values, point.null, point.intervals)
