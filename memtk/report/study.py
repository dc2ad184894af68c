"""The page of a study: what was varied, and what that does to memorization and quality."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from memtk.errors import UserError, many
from memtk.files import write_text
from memtk.report.figures import Place, draw_nearest, draw_panels, draw_tradeoff
from memtk.report.figures.study import (
    lay_out,
    measure_points,
    measure_titles,
    quality_points,
    settings_panel,
    steps_panel,
)
from memtk.report.page import Page, Section, figure_section, figures_of, make_section, write_page
from memtk.report.provenance import real_images
from memtk.report.sections import TAU, reading_section
from memtk.report.study_answer import answer_study, study_steps
from memtk.report.study_terminal import series_note
from memtk.results import read_arrays
from memtk.results.differences import PairedDifference, paired_difference
from memtk.results.formats import listed
from memtk.results.measures import measures_of
from memtk.results.reference import PaperRow, paper_numbers, reported
from memtk.results.seeds import Setting, qualities, settings_of, study_csv
from memtk.results.study import Study, StudyFile, read_study

_ANEW = (
    "The network in brackets is trained anew with each seed: its features, and so these numbers, "
    "have another scale in each."
)

MOST_COURSES = 6
"""Settings whose checkpoints are drawn where the study is not about them."""

_QUESTIONS = {
    "iterations": "What does longer training do to memorization?",
    "datasize": "What does the number of training images do to memorization?",
    "augmentation": "Does augmentation lower memorization?",
}

_NOUNS = {key: f"the {key}" for key in ("generator", "embedder", "similarity", "mitigation")}

_FIGURES = {
    "settings": (
        "Memorization against the setting",
        "Share of memorized training images and of copies for each setting, by each protocol",
        "Last checkpoint. Large dot: mean of the seeds; small dots: seeds; broad bar: their range. "
        "Thin bars: the 95% interval of each seed alone. That of the copy rate resamples "
        "patients; that of a count is Clopper and Pearson’s, each patient one trial, for these "
        "validation images, whose own chance is not in it. Dashed: what a generator that has "
        "memorized nothing would score; of the copies by the reference rule, the share of real "
        "validation images that the rule calls copies.",
    ),
    "steps": (
        "Memorization in the course of training",
        "Share of memorized training images and of copies against the training steps",
        "Checkpoints that all seeds of a setting have. The exposure side (training images, "
        "conformal) is computed for the last checkpoint alone, unless bench.exposure=all was asked "
        "for.",
    ),
    "quality": (
        "Quality against the setting",
        "Quality measures for each setting",
        "Dashed: what real images score in the place of the synthetic ones. Measures are on "
        "different scales, and not all of them are better when higher.",
    ),
    "steps_quality": (
        "Quality in the course of training",
        "Quality measures against the training steps",
        "",
    ),
    "tradeoff": (
        "Memorization against quality",
        "Share of exposed training patients against quality measures, one dot a setting",
        "Last checkpoint. Dotted: real images. A generator that gives its training images back "
        "has the best quality: read the two together.",
    ),
    "nearest": (
        "How near the nearest synthetic image is",
        "Histograms of the similarity of each training image to its nearest validation and "
        "synthetic image",
        "From each training image. Grey: to the nearest validation image; orange outline: to the "
        "nearest synthetic image. The first seed of each setting, last checkpoint; of more than "
        f"nine settings the first nine. {TAU} memorized. With other numbers of synthetic and "
        "validation images the shapes differ although nothing was memorized.",
    ),
}
"""Heading, description and caption of each figure of a study."""


def build_study_report(folder: Path) -> Path:
    """Write `folder/report.html` and `folder/study.csv`, and return the path of the page.

    Of cells that are not finished it says so. It shows no image, no file name and no patient. The
    same study gives the same bytes.

    Args:
        folder: as `memtk study` leaves it.

    Raises:
        UserError: if it is no study, no cell is finished, or a file is damaged, naming it.
    """
    study = read_study(folder)
    if not study.findings:
        raise UserError(
            f"no cell of {folder} is finished, so there is nothing to report: "
            "run the same memtk study command again"
        )
    settings = settings_of(study.file, study.findings)
    write_text(study.folder / "study.csv", study_csv(study.file, study.findings))
    sections = study_sections(study, settings)
    return write_page(study.folder, Page(question(study.file), lead(study, settings), sections))


def study_sections(study: Study, settings: Sequence[Setting]) -> tuple[Section, ...]:
    """Return all that the page shows of a study: memorization, the tables, quality, the paper."""
    names, test = qualities(settings), study.findings[0].result.last.evidence
    figures = draw_study(study, settings)
    paper, measures = paper_rows(settings), measure_titles(settings)
    compared = comparable(settings, measures)
    against = contrasts(settings, [name for name, _ in compared])
    found = [
        make_section(
            "start",
            "",
            "study_intro.html",
            study=study,
            said=answer_study(study, settings),
            steps=study_steps(study, settings, paths=False),
            series_note=series_note(settings),
        ),
        figures.get("settings"),
        figures.get("steps"),
        make_section(
            "table", "Every setting", "study_settings.html", settings=settings, measures=measures
        ),
        make_section(
            "cost",
            f"{'Cost, quality and attacks' if names else 'Cost'} of every setting",
            "study_quality.html",
            settings=settings,
            qualities=names,
            quality_notes=_quality_notes(settings),
        ),
        make_section(
            "differences",
            f"Against {_first_label(settings)}",
            "study_differences.html",
            contrasts=against,
            measures=compared,
        )
        if against
        else None,
        *(figures.get(name) for name in ("quality", "steps_quality", "tradeoff", "nearest")),
        make_section(
            "paper",
            "What the paper reports on this data set",
            "paper.html",
            rows=paper,
            paper_version=paper_numbers().version,
        )
        if paper
        else None,
        reading_section(test.fdr),
    ]
    return tuple(section for section in found if section is not None)


def draw_study(study: Study, settings: Sequence[Setting]) -> dict[str, Section]:
    """Return a section for each figure of a study that has something to draw, by its name."""
    names = qualities(settings)
    layout = lay_out(study.file, settings)
    course = study.file.kind == "iterations" or len(settings) <= MOST_COURSES
    measures = [(measure_points(name), title) for name, title in measure_titles(settings)]
    quality = [(quality_points(name), name) for name in names]
    drawn: dict[str, Callable[[], str | None]] = {}
    if len(settings) > 1:
        axis: dict[str, Any] = {
            "below": layout.below,
            "ticks": layout.ticks,
            "ordered": layout.ordered,
        }
        panels = [settings_panel(layout, settings, get, title) for get, title in measures]
        drawn["settings"] = partial(draw_panels, panels, **axis)
        panels = [
            settings_panel(layout, settings, get, title, share=False) for get, title in quality
        ]
        drawn["quality"] = partial(draw_panels, panels, **axis, null="real images")
    if course and any(len(setting.steps()) > 1 for setting in settings):
        panels = [steps_panel(settings, get, title) for get, title in measures]
        drawn["steps"] = partial(draw_panels, panels, below="training steps")
        panels = [steps_panel(settings, get, title, share=False) for get, title in quality]
        drawn["steps_quality"] = partial(
            draw_panels, panels, below="training steps", null="real images"
        )
    drawn["tradeoff"] = partial(_tradeoff, settings, names)
    near = [found for setting in settings if (found := _nearest(setting)) is not None]
    drawn["nearest"] = partial(draw_nearest, near)
    return {
        name: figure_section(name, title, *figures)
        for name, (title, alt, caption) in _FIGURES.items()
        if name in drawn and (figures := figures_of(drawn[name], alt, caption))
    }


def comparable(
    settings: Sequence[Setting], measures: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Return the measures whose null is the same in all settings."""
    found = []
    for name, title in measures:
        nulls = [null for s in settings if (null := s.null(name)) is not None]
        if nulls and max(nulls) - min(nulls) < 1e-9:
            found.append((name, title))
    return found


def contrasts(
    settings: Sequence[Setting], measures: Sequence[str]
) -> list[tuple[Setting, list[PairedDifference | None]]]:
    """Compare every setting with the first of the same generator, by some measures."""
    found = []
    for setting in settings:
        against = next(
            s
            for s in settings
            if s.first.components.generator.name == setting.first.components.generator.name
        )
        if against is not setting:
            each = [paired_difference(setting, against, name) for name in measures]
            found.append((setting, each))
    return found


def paper_rows(settings: Sequence[Setting]) -> tuple[PaperRow, ...]:
    """Return what the paper reports on this data set, for the generators of this study."""
    used = {setting.first.components.generator.name for setting in settings}
    rows = reported(settings[0].first)
    return tuple(row for row in rows if row.generator in used) or rows


def _first_label(settings: Sequence[Setting]) -> str:
    generators = {setting.first.components.generator.name for setting in settings}
    return settings[0].label if len(generators) == 1 else "the first setting of each generator"


def _quality_notes(settings: Sequence[Setting]) -> list[str]:
    """Return what must be known of the quality measures, each note once, by its measure."""
    notes: dict[str, None] = {}
    for setting in settings:
        for result, checkpoint in setting.at():
            for name, measured in checkpoint.measure_info.items():
                if measured.note:
                    notes[f"{name}: {measured.note.rstrip('.')}."] = None
            if (
                any(m.extractor for m in checkpoint.measure_info.values())
                and result.extractor_trained_on
            ):
                notes |= {_ANEW: None} if result.extractor_trained_on == "training" else {}
    return list(notes)


def question(file: StudyFile) -> str:
    """Return the question that a study answers."""
    names = [axis.label for axis in file.axes if axis.key != "seed"]
    return _QUESTIONS.get(file.kind) or (
        f"How does memorization depend on {listed([_NOUNS.get(n, n) for n in names])}?"
        if names
        else "How far do seeds lie apart?"
    )


def lead(study: Study, settings: Sequence[Setting]) -> str:
    """Return images, cells and seeds in a sentence."""
    first = settings[0].first
    suite = f"suite {first.suite.name} {first.suite.version}" if first.suite else "own data"
    finished = study.runs - len(study.missing)
    return (
        f"{suite}: {real_images(first.data.counts, first.data.spec)}; "
        f"{finished} of {many(study.runs, 'cell')} finished; {study.file.created}"
    )


def _tradeoff(settings: Sequence[Setting], names: Sequence[str]) -> str | None:
    """Draw memorization against quality: the exposed patients where all settings have them."""
    tested = all(setting.measured("exposed") for setting in settings)
    measure = "exposed" if tested else "n_copies"
    drawn = []
    for name in names:
        places = []
        for number, setting in enumerate(settings):
            pairs = [
                (checkpoint.quality[name], each.record.value)
                for result, checkpoint in setting.at()  # not the attacks, which are no quality
                if name in checkpoint.quality
                for each in measures_of(result, checkpoint, measure)
                if each.record.value is not None
            ]
            if pairs:
                first, second = zip(*pairs, strict=True)
                places.append(Place(setting.label, number, first, second))
        real = next((r for s in settings if (r := s.real(name)) is not None), None)
        drawn.append((name, places, real))
    return draw_tradeoff(drawn, up="patients exposed, at least" if tested else "copies named")


def _nearest(setting: Setting) -> tuple[str, dict[str, np.ndarray], float] | None:
    finding = setting.findings[0]
    path = finding.run / "cells" / finding.result.cell / "arrays.h5"
    if not path.exists():
        return None
    arrays = read_arrays(path, finding.result.last.label)
    return setting.label, arrays, finding.result.last.evidence.tau
