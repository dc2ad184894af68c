"""The answer of a study to the question that it asks, with the numbers that it rests on."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from memtk.errors import many
from memtk.report.next_steps import NextStep, bench_command
from memtk.results.answer import control
from memtk.results.differences import PairedDifference, paired_difference
from memtk.results.formats import ends, interval, share
from memtk.results.measures import main_measures
from memtk.results.protocols import Exposed
from memtk.results.schema import Result
from memtk.results.seeds import Setting, measures_in
from memtk.results.study import SEED, Study

MOST = 3
"""Settings whose numbers stand below the answer; the table has all."""

SEEDS = 5
"""Seeds of a setting with which a study says how far trainings lie apart."""

CONFIDENCE = 0.95
"""Of the differences."""

WIDE = 0.5
"""An interval of a difference that is wider than that tells a reader nothing."""


_MEANING = (
    "Copy rate: the share of the synthetic images that are copies of training images; exposed: "
    "they lie nearer to a patient's images than to those of strangers. "
)


@dataclass(frozen=True)
class StudyAnswer:
    """What a reader of a study reads first.

    Args:
        first: answers the question.
        numbers: of the settings that are compared, a line each.
        why: what the comparison rests on.
        seeds: of each setting that would answer what is open; 0 where no number would, None where
            it is answered or nothing is compared.
    """

    first: str
    numbers: tuple[str, ...]
    why: str
    seeds: int | None = None


def answer_study(study: Study, settings: Sequence[Setting]) -> StudyAnswer:
    """Return the answer of a study, by the copy rate where every setting has one.

    A difference counts as shown where its 95% interval leaves out 0; see
    `memtk.results.differences.difference_interval`.
    """
    name, title = _measure(settings)
    if not name:
        return StudyAnswer(
            "Not answered: no measure of memorization was computed in every setting.", (), ""
        )
    if study.file.kind == "iterations":
        compared = _course(settings, name)
    else:
        compared = _against_first(settings, name)
    if not compared:
        return StudyAnswer(
            f"Not answered: there is only one {_only(study)} to look at.",
            tuple(_numbers(setting, name, title) for setting in settings[:MOST]),
            "",
        )
    clear = [each for each in compared if each.found.clear]
    main = clear[:2] or compared[:1]
    said = [_said(study.file.kind, title, each) for each in main]
    if poor := sum(any(map(_unlike, setting.results)) for setting in settings):
        of = f"{poor} of {many(len(settings), 'setting')}"
        said.append(f"In {of} the images are unlike the data: few copies say nothing there.")
    shown = _shown(settings, main) if study.file.kind != "iterations" else settings[:MOST]
    count = {len(each.found.difference.values) for each in compared}
    seeds = many(max(count), "seed")
    rest = len(compared) - len(main)
    others = f"; a table of the report has {many(rest, 'more comparison')}" if rest else ""
    by = _MEANING if name == "copy_rate" else f"By the {title}. "
    of = f"{seeds} of each"
    if any(len(setting.findings) > max(count) for setting in shown):
        of = f"the {seeds} that both have; the lines above are of all"
    why = (
        f"{by}From {of}{others}. The interval joins what few patients and "
        f"images leave open (MOVER, Zou and Donner 2008) with how far the seeds lie apart"
        f"{'; of one seed that is not known' if max(count) == 1 else ''}."
    )
    return StudyAnswer(
        " ".join(said),
        tuple(_numbers(setting, name, title) for setting in shown),
        why,
        None if clear else main[0].found.seeds or 0,
    )


@dataclass(frozen=True)
class _Compared:
    """Two settings, or two steps, by their names, and how they differ."""

    ours: str
    theirs: str
    found: PairedDifference


def _against_first(settings: Sequence[Setting], name: str) -> list[_Compared]:
    """Compare the settings with the first of the same generator, the last one first.

    Controls, whose truth is known, are compared where there is nothing else.
    """
    compared = []
    tested = [setting for setting in settings if not control(setting.first)]
    for setting in reversed(tested or settings):
        generator = setting.first.components.generator.name
        against = next(s for s in settings if s.first.components.generator.name == generator)
        found = paired_difference(setting, against, name) if against is not setting else None
        if found is not None:
            compared.append(_Compared(_name(setting), _name(against), found))
    if not compared and len(settings) > 1:  # each is a generator of its own
        for setting in settings[1:]:
            found = paired_difference(setting, settings[0], name)
            if found is not None:
                compared.append(_Compared(_name(setting), _name(settings[0]), found))
    return compared


def _course(settings: Sequence[Setting], name: str) -> list[_Compared]:
    """Compare the last checkpoint of each setting with its first one."""
    compared = []
    for setting in settings:
        steps = [step for step in setting.steps() if setting.measured(name, step)]
        if len(steps) < 2:
            continue
        found = paired_difference(setting, setting, name, (steps[-1], steps[0]))
        if found is not None:
            of = f" of {setting.label}" if len(settings) > 1 else ""
            last, first = (f"after {step:,} steps{of}" for step in (steps[-1], steps[0]))
            compared.append(_Compared(last, first, found))
    return compared


def _said(kind: str, title: str, each: _Compared) -> str:
    """Return one comparison in a sentence, with its interval."""
    ours, theirs = each.found.means
    apart = each.found.interval
    change = abs(each.found.difference.mean)
    less = each.found.difference.mean < 0
    at = "" if kind == "iterations" else "with "
    values = f"{share(ours)} {at}{each.ours}, {share(theirs)} {at}{each.theirs}"
    if apart is None:
        count = len(each.found.difference.values)
        alone = "; how sure that is cannot be told from one seed"
        return f"The {title} is {values}{f', in each of {count} seeds' if count > 1 else alone}."
    if each.found.clear:
        word = {
            ("augmentation", True): "Yes, it does: the",
            ("augmentation", False): "No, it raises it: the",
        }.get((kind, less), "Shown: the")
        bounds = sorted(abs(end) for end in apart)
        return (
            f"{word} {title} is {values}: {_points(change)} {'less' if less else 'more'} "
            f"({interval(bounds[0], bounds[1], CONFIDENCE).removesuffix('%')} points)."
        )
    more = each.found.seeds
    way = (
        f"About {more} seeds of each would tell, if the difference stays."
        if more
        else "More seeds alone would not tell, more patients may."
    )
    if apart[1] - apart[0] > WIDE:
        return f"These sizes cannot tell: the {title} is {values}. {way}"
    return (
        f"Not shown either way: the {title} is {values}; the difference lies between "
        f"{_signed(apart[0])} and {_signed(apart[1])} points (95% interval). {way}"
    )


def _unlike(result: Result) -> bool:
    comparable = result.last.evidence.comparable
    return bool(comparable and comparable.unlike)


def _points(fraction: float) -> str:
    return f"{round(100 * fraction, 1):g} percentage points"


def _signed(fraction: float) -> str:
    return f"{round(100 * fraction, 1):+g}".replace("-", "−")


def _shown(settings: Sequence[Setting], compared: Sequence[_Compared]) -> list[Setting]:
    names = {name for each in compared for name in (each.ours, each.theirs)}
    return [setting for setting in settings if _name(setting) in names]


def _name(setting: Setting) -> str:
    """Return what a setting is called in a sentence: a share of the training images by how many."""
    if re.fullmatch(r"datasize [\d.]+", setting.label):
        return many(setting.first.used_training.images, "training image")
    return setting.label


def _numbers(setting: Setting, name: str, title: str) -> str:
    """Return the two numbers of a setting: outermost ends over the seeds."""
    records = setting.measured(name)
    mean = sum(record.value or 0.0 for record in records) / len(records)
    known = [record.interval for record in records if record.interval]
    said = f"{_name(setting)}: {title} {share(mean)}"
    if known:
        low, high = min(low for low, _ in known), max(high for _, high in known)
        said += f", {ends(low, high)}"
    null = setting.null(name)
    if null is not None:
        said += f" ({share(null)} by chance)" if null else " (0 if nothing is copied)"
    exposed = [r.last.evidence.exposed for r in setting.results if r.last.evidence.exposed]
    if exposed:
        low, high = min(each.low for each in exposed), max(each.high for each in exposed)
        found = Exposed(low=low, high=high, of=max(each.of for each in exposed))
        said += f"; {found.between} of {many(found.of, 'training patient')} exposed"
    return said


def _measure(settings: Sequence[Setting]) -> tuple[str, str]:
    """Return name and title of what settings are compared by: the copy rate, or, of older results,
    the first measure whose null is the same in all."""
    if all(setting.measured("copy_rate") for setting in settings):
        return "copy_rate", "copy rate"
    for each in main_measures(measures_in(settings).values()):
        nulls = [setting.null(each.name) for setting in settings if setting.measured(each.name)]
        known = [null for null in nulls if null is not None]
        if each.record.of and len(known) == len(settings) and max(known) - min(known) < 1e-9:
            return each.name, f"share {each.record.title}"
    return "", ""


def _only(study: Study) -> str:
    return "checkpoint" if study.file.kind == "iterations" else "setting"


def study_steps(study: Study, settings: Sequence[Setting], *, paths: bool) -> list[NextStep]:
    """Return what would tell more of a study: a larger preset, more seeds, or more patients.

    Args:
        paths: see `cell_steps`.
    """
    file, seeds = study.file, min((len(s.findings) for s in settings), default=0)
    if not file.cells or not seeds:
        return []
    recipe = dict(file.cells[0].recipe)
    bench, given = dict(recipe.get("bench") or {}), dict(recipe.get("settings") or {})
    trial = bench.get("preset") == "smoke" and bool(recipe.get("suite"))
    would = answer_study(study, settings).seeds
    if would == 0 and not trial:
        return [NextStep("Add training and validation patients: more seeds alone would not tell.")]
    least = max(SEEDS, would or 0)
    if seeds >= least and not trial:
        return []
    used = {int(cell.values[SEED]) for cell in file.cells if cell.values.get(SEED, "").isdecimal()}
    wanted = sorted(used if trial else used | set(range(least)))[: max(least, len(used))]
    bench.pop("seed", None)
    bench |= {"preset": "demo", "checkpoints": None} if trial else {}
    varied = [axis for axis in file.axes if axis.key != SEED]
    if any(axis.key.partition(".")[0] not in ("mitigation", "generator") for axis in varied):
        return []  # a setting of each cell, which the recipe of the first one holds
    for axis in varied:
        table, _, name = axis.key.partition(".")
        if table == "mitigation":
            bench["mitigation"] = [m for m in bench.get("mitigation", ()) if m != name]
            given.pop(name, None)
        elif not name:
            bench.pop("generator", None)
        else:
            given[table] = _without(given.get(table) or {}, name.split("."))
    options = bench_command({**recipe, "bench": bench, "settings": given}, paths=paths)
    own = {"datasize": "mitigation.datasize", "augmentation": "mitigation.augment"}.get(file.kind)
    seeds_wanted = ",".join(map(str, wanted))
    vary = [
        f"--sizes {','.join(axis.values)}"
        if axis.key == "mitigation.datasize" == own
        else f"--vary {axis.key}={','.join(axis.values)}"
        for axis in varied
        if axis.key != own or own == "mitigation.datasize"
    ]
    grid = file.kind == "grid"
    vary.append(f"--vary seed={seeds_wanted}" if grid else f"--seeds {seeds_wanted}")
    if file.equal_epochs != (file.kind == "datasize"):
        vary.append("--equal-epochs" if file.equal_epochs else "--equal-steps")
    place = shlex.quote(str(study.folder)) if paths else "."
    said = (
        f"Train with {len(wanted)} seeds, not {seeds}, to see how far trainings lie apart; what is "
        "finished is kept."
    )
    lines = [f"memtk study {file.kind}", *vary, *options.split(" \\\n  ")[1:]]
    if trial:
        said = "Study with the preset demo: smoke is a trial, of too few patients to tell."
    else:
        lines.append(f"--out {place}")
    return [NextStep(said, " \\\n  ".join(lines))]


def _without(table: Mapping[str, Any], path: list[str]) -> dict[str, Any]:
    """Return nested settings without the one at a path."""
    first, *rest = path
    kept = {key: value for key, value in table.items() if key != first or rest}
    if rest and isinstance(kept.get(first), Mapping):
        kept[first] = _without(kept[first], rest)
    return kept
