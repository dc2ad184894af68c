"""The page of a study: what was varied, and what that does to memorization and quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from memtk.errors import UserError
from memtk.files import write_text
from memtk.report.figures import Panel, Place, draw_nearest, draw_panels, draw_tradeoff
from memtk.report.rendering import render
from memtk.report.study_layout import (
    lay_out,
    measure_points,
    measure_titles,
    quality_points,
    settings_panel,
    steps_panel,
)
from memtk.report.study_words import lead, question, series_note
from memtk.results import read_arrays
from memtk.results.contrast import Contrast, contrast
from memtk.results.reference import PaperRow, paper_numbers, reported
from memtk.results.study import Study, read_study
from memtk.results.study_measures import measure
from memtk.results.study_settings import Setting, qualities, settings_of
from memtk.results.study_table import study_csv

CONTRASTS = ("matched_mem", "conformal_mem", "conformal_copies", "copy_rate")
"""Measures whose null is the same whatever the sizes are."""

_ANEW = (
    "The network in brackets is trained anew with each seed: its features, and so these numbers, "
    "have another scale in each."
)

MOST_COURSES = 6
"""Settings whose checkpoints are drawn where the study is not about them."""


@dataclass(frozen=True)
class Figures:
    """The figures of a study as `data:` URIs; None where there is nothing to draw."""

    settings: str | None
    quality: str | None
    steps: str | None
    steps_quality: str | None
    tradeoff: str | None
    nearest: str | None


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
    page = render(
        "study.html",
        title=question(study.file),
        lead=lead(study, settings),
        study=study,
        settings=settings,
        qualities=qualities(settings),
        figures=draw_study(study, settings),
        contrasts=contrasts(settings),
        first_label=_first_label(settings),
        paper=paper_rows(settings),
        paper_version=paper_numbers().version,
        series_note=series_note(settings),
        quality_notes=_quality_notes(settings),
        alpha=study.findings[0].result.last.protocols.conformal.alpha,
        fdr=study.findings[0].result.last.protocols.conformal.fdr,
    )
    path = study.folder / "report.html"
    write_text(path, page)
    return path


def draw_study(study: Study, settings: Sequence[Setting]) -> Figures:
    """Return the figures of a study."""
    names = qualities(settings)
    layout = lay_out(study.file, settings)
    several = len(settings) > 1
    course = study.file.kind == "iterations" or len(settings) <= MOST_COURSES
    series = course and any(len(setting.steps()) > 1 for setting in settings)
    measures = [(measure_points(measure), title) for measure, title in measure_titles()]
    quality = [(quality_points(name), name) for name in names]
    return Figures(
        settings=draw_panels(
            [settings_panel(layout, settings, get, title) for get, title in measures],
            below=layout.below,
            ticks=layout.ticks,
            ordered=layout.ordered,
        )
        if several
        else None,
        quality=draw_panels(
            [_unscaled(settings_panel(layout, settings, get, title)) for get, title in quality],
            below=layout.below,
            ticks=layout.ticks,
            ordered=layout.ordered,
            null="real images",
        )
        if several
        else None,
        steps=draw_panels(
            [steps_panel(settings, get, title) for get, title in measures], below="training steps"
        )
        if series
        else None,
        steps_quality=draw_panels(
            [_unscaled(steps_panel(settings, get, title)) for get, title in quality],
            below="training steps",
            null="real images",
        )
        if series
        else None,
        tradeoff=_tradeoff(settings, names),
        nearest=draw_nearest([found for s in settings if (found := _nearest(s)) is not None]),
    )


def contrasts(settings: Sequence[Setting]) -> list[tuple[Setting, list[Contrast | None]]]:
    """Compare every setting with the first of the same generator, by each of `CONTRASTS`."""
    found = []
    for setting in settings:
        against = next(
            s
            for s in settings
            if s.first.components.generator.name == setting.first.components.generator.name
        )
        if against is not setting:
            each = [contrast(setting, against, key) for key in CONTRASTS]
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
            for name, measured in checkpoint.measured.items():
                if measured.note:
                    notes[f"{name}: {measured.note.rstrip('.')}."] = None
            if any(m.extractor for m in checkpoint.measured.values()) and result.extractor_saw:
                notes |= {_ANEW: None} if result.extractor_saw == "training" else {}
    return list(notes)


def _unscaled(panel: Panel) -> Panel:
    return replace(panel, share=False)


def _tradeoff(settings: Sequence[Setting], names: Sequence[str]) -> str | None:
    """Draw the conformal share, of training images where all settings have it, against quality."""
    tested = all(setting.measured("conformal_mem") for setting in settings)
    memorized = measure("conformal_mem" if tested else "conformal_copies")
    drawn = []
    for name in names:
        places = []
        for number, setting in enumerate(settings):
            pairs = [
                (checkpoint.quality[name], value.share)
                for result, checkpoint in setting.at()  # not the attacks, which are no quality
                if name in checkpoint.quality and (value := memorized.of(result, checkpoint))
            ]
            if pairs:
                first, second = zip(*pairs, strict=True)
                places.append(Place(setting.label, number, first, second))
        real = next((r for s in settings if (r := s.real(name)) is not None), None)
        drawn.append((name, places, real))
    images = "training images" if tested else "synthetic images"
    null = next((n for s in settings if (n := s.null(memorized.key)) is not None), None)
    return draw_tradeoff(drawn, up=f"{images}, {memorized.title}", null=null)


def _nearest(setting: Setting) -> tuple[str, dict[str, np.ndarray], float] | None:
    finding = setting.findings[0]
    path = finding.run / "cells" / finding.result.cell / "arrays.h5"
    if not path.exists():
        return None
    arrays = read_arrays(path, finding.result.last.label)
    return setting.label, arrays, finding.result.last.protocols.dar.tau
