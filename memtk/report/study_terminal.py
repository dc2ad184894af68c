"""The end of a study in the terminal, and the paper's numbers."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from memtk.report.study_answer import answer_study, study_steps
from memtk.report.terminal import what_now
from memtk.report.terminal_tables import ABREAST, legend, make_table
from memtk.results.formats import duration, share
from memtk.results.measures import main_measures
from memtk.results.reference import DATA_SETS, PaperRow, paper_numbers
from memtk.results.seeds import Setting, measures_in, qualities, settings_of
from memtk.results.study import Study


def study_summary(study: Study) -> RenderableType:
    """Return a line a setting, with nulls in brackets, the range over the seeds, and failures."""
    settings = settings_of(study.file, study.findings)
    names = qualities(settings)
    measures = main_measures(measures_in(settings).values())
    memorized = _whole(settings, "seeds", "N", "copy rate", "exposed")
    for setting in settings:
        memorized.add_row(
            Text(setting.label),
            str(len(setting.findings)),
            str(setting.first.used_training.images),
            Text(_rate(setting)),
            Text(_exposed(setting)),
        )
    tables = [memorized]
    for start in range(0, len(measures), ABREAST):
        part = measures[start : start + ABREAST]
        tables.append(counted := _whole(settings, *(f"{m.protocol}\n{m.key}" for m in part)))
        for setting in settings:
            counted.add_row(Text(setting.label), *(Text(_measured(setting, m.name)) for m in part))
    quality = [_quality_table(settings, names[: ABREAST - 1], timed=True)]
    for start in range(ABREAST - 1, len(names), ABREAST):
        quality.append(_quality_table(settings, names[start : start + ABREAST], timed=False))
    failures = _failures(study)
    if not settings:
        return Group(*failures)
    notes = (_LEGEND, legend(measures), series_note(settings))
    said = (Text(line, style="dim") for line in notes)
    return Group(*tables, *quality, *said, *failures, Text(), study_answer(study))


def study_answer(study: Study) -> RenderableType:
    """Return the answer to the study's question, its numbers, and what would tell more."""
    settings = settings_of(study.file, study.findings)
    said = answer_study(study, settings)
    return Group(
        Text(said.first, style="bold"),
        *(Text(f" - {line}") for line in said.numbers),
        Text(said.why, style="dim"),
        *what_now(study_steps(study, settings, paths=True)),
    )


def series_note(settings: Sequence[Setting]) -> str:
    """Say how many seeds stand behind each number, and what their spread means."""
    counts = sorted({len(setting.findings) for setting in settings})
    if counts == [1]:
        return (
            "With one seed for each setting: how much a result would change in another training "
            "of the same setting is not known."
        )
    shown = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return (
        f"With {shown} seeds for each setting. They differ in the weights, the noise, the order of "
        "the images and the copy detector, never in the patients of the data: their spread says "
        "how much trainings vary, not what other patients would give."
    )


def _whole(settings: Sequence[Setting], *columns: str) -> Table:
    """Return a table with a line a setting, in whose names no word is broken."""
    table = make_table("setting", *columns, whole=True)
    words = [word for setting in settings for word in setting.label.split()]
    table.columns[0].min_width = max(map(len, words), default=0)
    return table


def _quality_table(settings: Sequence[Setting], names: Sequence[str], *, timed: bool) -> Table:
    """Return measures of quality, few enough to be read; the first table has the training time."""
    # the extractor on a line of its own
    columns = [*(["training"] if timed else []), *(name.replace("[", "\n[") for name in names)]
    table = _whole(settings, *columns)
    for setting in settings:
        time = setting.training_seconds
        taken = [duration(time.mean) if time else "-"] if timed else []
        measured = (Text(_quality(setting, name)) for name in names)
        table.add_row(Text(setting.label), *taken, *measured)
    return table


_KINDS = {"main": "", "augmentation": "augmented", "datasize": "by data size"}

_LEGEND = (
    "Last checkpoint, mean of the seeds and their range; copy rate: the outermost ends of the "
    "seeds' 95% intervals; exposed: training patients, from the lowest lower to the highest upper "
    "end; training: time of one generator.\n[in brackets: a generator that has memorized nothing; "
    "of a quality measure: real images]"
)


def _measured(setting: Setting, name: str) -> str:
    found, null = setting.value(name), setting.null(name)
    if found is None:
        return "-"
    shares = all(record.of is not None for record in setting.measured(name))
    say = share if shares else "{:.4g}".format
    chance = "" if null is None else f"\n[{say(null)}]"
    return f"{say(found.mean)}{_range(say(found.low), say(found.high))}{chance}"


def _range(low: str, high: str) -> str:
    to = " to " if low.startswith("-") else "-"
    return "" if low == high else f"\n{low.removesuffix('%')}{to}{high}"


def _rate(setting: Setting) -> str:
    values = setting.measured("copy_rate")
    if not values:
        return "-"
    mean = sum(value.value for value in values if value.value is not None) / len(values)
    low, high = (
        end(v.interval[i] for v in values if v.interval) for i, end in enumerate((min, max))
    )
    by = "\nby readers" if any(r.last.evidence.by_readers for r in setting.results) else ""
    return f"{share(mean)}{_range(share(low), share(high))}{by}"


def _exposed(setting: Setting) -> str:
    """Return between how many and how many patients are exposed, over the seeds."""
    found = [r.last.evidence.exposed for r in setting.results]
    known = [each for each in found if each is not None]
    if not known:
        return "-"
    low, high = min(each.low for each in known), max(each.high for each in known)
    ends = f"{low}-{high}" if low < high else f"{low}"
    return f"{ends}\nof {max(each.of for each in known)}"


def _quality(setting: Setting, name: str) -> str:
    found, real = setting.quality(name), setting.real(name)
    if found is None:
        return "-"
    line = "" if real is None else f"\n[{real:.4g}]"
    return f"{found.mean:.4g}{_range(f'{found.low:.4g}', f'{found.high:.4g}')}{line}"


def _failures(study: Study) -> list[Text]:
    """Say which cells are missing; cells that failed of the same are named together."""
    reasons: dict[str, list[str]] = {}
    for name in study.missing:
        reasons.setdefault(study.failed.get(name, "not finished"), []).append(name)
    return [
        Text.assemble((", ".join(names), "bold"), ": ", reason, style="yellow")
        for reason, names in reasons.items()
    ]


def paper_table(rows: Sequence[PaperRow]) -> RenderableType:
    """Return what the paper reports, with nulls, and the human's check the right way round."""
    table = Table(
        box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), title=paper_numbers().version,
        title_justify="left",
    )  # fmt: skip
    for name in ("data set", "system"):
        table.add_column(name, no_wrap=True)
    for name in ("N, V", "n_mem", "copies", "chance", "sens/spec", "PPV/NPV"):
        table.add_column(name, justify="right", min_width=len(name))
    for row in rows:
        agreement = row.agreement
        truth, rule = "-", "-"
        if agreement:
            about = "~" if agreement.replayed else ""
            truth = f"{about}{agreement.sensitivity:.0f}/{agreement.specificity:.0f}"
            rule = f"{about}{agreement.ppv:.0f}/{agreement.npv:.0f}"
        elif row.published_sensitivity is not None:
            rule = f"{row.published_sensitivity:g}/{row.published_specificity:g}"
        kind = _KINDS[row.study]
        table.add_row(
            row.data_set,
            f"{row.system}\n{kind}",
            f"{row.training}\n{row.validation}{'?' if row.validation_assumed else ''}",
            _counted(row.mem_count, row.mem_percent),
            _counted(row.copies_count, row.copies_percent),
            f"{row.null_percent:g}%",
            truth,
            rule,
        )
    return Group(table, *(Text(line, style="dim") for line in _notes(rows)))


def _notes(rows: Sequence[PaperRow]) -> list[str]:
    sets = dict.fromkeys(row.data_set for row in rows)
    return [
        *(f"{name}: {DATA_SETS[name]}" for name in sets),
        "N training and as many synthetic, V validation images; chance: n_mem of a generator "
        "that has memorized nothing, 1 - 0.95^(N/V).",
        "sens, spec, PPV, NPV: of the rule, with a radiologist as the truth, on about 100 pairs, "
        "in percent. The paper prints PPV as sensitivity and NPV as specificity; ~: derived again "
        "by drawing the pairs anew.",
        *(["?: not said in the paper, taken as that of the main study."] if any(
            row.validation_assumed for row in rows
        ) else []),
        *(_note(row) for row in rows if row.note),
    ]  # fmt: skip


def _note(row: PaperRow) -> str:
    name = f"{row.system} {_KINDS[row.study]}".strip()
    return f"{name} on {row.data_set}, N = {row.training}: {row.note}."


def _counted(count: int | None, value: float) -> str:
    return f"{value:g}%" if count is None else f"{count}\n{value:g}%"
