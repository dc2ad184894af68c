"""The page of a bench: its cells side by side, then each by itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from memtk.data.images import StoredImages, open_images
from memtk.errors import UserError
from memtk.interfaces import ReportRun
from memtk.memorization import roc, scores_of
from memtk.registry import Registry
from memtk.report.counts import conditions_section, counts_of_cell
from memtk.report.effects import effects_in_words
from memtk.report.figures import (
    Spot,
    View,
    draw_attacks,
    draw_checkpoints,
    draw_comparison,
    draw_losses,
    draw_quality,
)
from memtk.report.next_steps import cell_steps, run_steps
from memtk.report.page import (
    Figure,
    Page,
    Section,
    figure_section,
    figures_of,
    make_section,
    write_page,
)
from memtk.report.pictures import find_pairs, read_key
from memtk.report.plugin_sections import PluginSections, run_of
from memtk.report.provenance import provenance_of, real_images, repeat_command
from memtk.report.quality import Comparison, compare_cells, features_word, quality_rows, way_of
from memtk.report.review import review_section
from memtk.report.sections import (
    names_section,
    pairs_section,
    provenance_section,
    reading_section,
    selftest_section,
    similarities_section,
)
from memtk.results import (
    Result,
    Run,
    answer_cell,
    answer_run,
    contradiction,
    control,
    has_arrays,
    read_arrays,
    read_run,
)
from memtk.results.answer import misses
from memtk.results.measures import measures_of, named_measures
from memtk.results.reference import counterpart, sentence
from memtk.results.verdicts import verdict


def build_report(run_folder: Path, registry: Registry | None = None) -> Path:
    """Write `run_folder/report.html` and return its path.

    The page shows pictures of training images, but no file name and no patient number. The same
    run gives the same bytes.

    Args:
        run_folder: as `memtk bench` leaves it; cells that are not finished are named as such.
        registry: brings the report sections of plugins; None leaves them out.

    Raises:
        UserError: if it is no run folder, no cell is finished, or a file is damaged, naming it.
    """
    run = read_run(run_folder)
    if not run.results:
        raise UserError(
            f"no cell of {run_folder} is finished, so there is nothing to report: "
            "run the same command again"
        )
    run = replace(run, results=tuple(sorted(run.results, key=lambda r: bool(control(r)))))
    key, plugins = read_key(run.folder), PluginSections(registry)
    cells = [cell_section(run, result, key, plugins) for result in run.results]
    changed = any(result.components.mitigations for result in run.results)
    found = compare_cells(run.results) if len(run.results) > 1 else None
    comparison = [comparison_section(found)] if found and (found.measures or changed) else []
    fdr = run.results[0].last.evidence.fdr
    sections = [overview_section(run), *comparison, *cells, reading_section(fdr)]
    return write_page(run.folder, Page(_title(run), _lead(run), tuple(sections)))


def overview_section(run: Run) -> Section:
    """Return what is not finished, and a line on each of several cells."""
    cells = [(_anchor(result), result, answer_cell(result)) for result in run.results]
    return make_section(
        "overview",
        "",
        "overview.html",
        cells=cells,
        missing=run.missing,
        control=control,
        misses=misses,
        first=answer_run(run.results),
        steps=run_steps(run.results, run.folder, run.file.recipe, paths=False),
    )


def comparison_section(comparison: Comparison) -> Section:
    """Return the cells side by side, in a table and in a figure."""
    return make_section(
        "comparison",
        "Side by side",
        "comparison.html",
        comparison=comparison,
        figures=draw_side_by_side(comparison),
    )


def draw_side_by_side(comparison: Comparison) -> list[Figure]:
    """Draw memorization against the first measure of quality that two cells have; maybe nothing."""
    found = comparison.found
    for name in found.measures:
        rates, shares = [], []
        for side in found.sides:
            quality, rate = side.quality[name], side.copy_rate
            if quality is not None and rate is not None:
                rates.append(Spot(side.cell, quality, rate.estimate, (rate.low, rate.high)))
            if quality is not None and side.exposed is not None:
                ends = side.exposed.low / side.exposed.of, side.exposed.high / side.exposed.of
                shares.append(Spot(side.cell, quality, ends[0], ends))
        draw = partial(
            draw_comparison,
            [View("Copy rate", rates), View("Training patients exposed", shares)],
            [side.cell for side in found.sides],
            name,
            way_of(found.better[name]),
            found.real[name],
        )
        caption = (
            "Lines: intervals; the dot of the exposed patients is the lower end. Cells whose "
            "intervals overlap cannot be told apart by these numbers."
        )
        if found.real[name] is not None:
            caption += f" Dotted: what real images score in {name}."
        if figures := figures_of(draw, f"Memorization of every cell against {name}", caption):
            return figures
    return []


def cell_section(run: Run, result: Result, key: bytes, plugins: PluginSections) -> Section:
    """Return all that the page shows of a cell.

    Args:
        run: that it is of; the first of its cells shows the command that repeats it.
        result: of the cell, which is called by its name where there are several.
        plugins: bring sections of their own.

    Raises:
        UserError: if a file is damaged, naming it.
    """
    folder, several = run.folder, len(run.results) > 1
    command = repeat_command(run.file.recipe) if result is run.results[0] else ""
    path = folder / "cells" / result.cell / "arrays.h5"
    tau, validation = result.last.evidence.tau, result.data.counts["validation"].images
    paper, images = counterpart(result), cell_images(folder, result)
    said, reasons = answer_cell(result), verdict(result).reasons
    parts = [_mitigations(result), _checkpoints(result), _quality(result)]
    parts.append(conditions_section(result))
    arrays, pairs = read_arrays(path, result.last.label) if path.exists() else None, None
    if arrays:
        parts.append(similarities_section(arrays, tau, result.last.n_synthetic, validation))
    if arrays and images:
        pairs = find_pairs(arrays, images, key, _synthetic(result))
    parts += [
        _attacks(result, path),
        make_section("privacy", "Differential privacy", "privacy.html", result=result)
        if result.privacy
        else None,
        pairs_section(pairs, result.data, tau, arrays, result.last.evidence),
        selftest_section(result.selftest) if result.selftest else None,
        review_section(folder / "cells" / result.cell, result),
        names_section(result.last.evidence),
        _training(result),
    ]
    shown = plugins.among(
        [part for part in parts if part is not None], lambda: _run(result, path, images, key)
    )
    return make_section(
        _anchor(result),
        result.cell if several else "",
        "cell.html",
        parts=[*shown, provenance_section(provenance_of(result), command)],
        css="" if several else "only",
        result=result,
        alone=not several,
        said=said,
        reasons=() if reasons == said.why else reasons,
        steps=[] if several else cell_steps(result, folder, run.file.recipe, paths=False),
        groups=counts_of_cell(result),
        contradiction=contradiction(result.membership, result.privacy),
        paper=sentence(paper) if paper else "",
    )


def cell_images(folder: Path, result: Result) -> dict[str, StoredImages]:
    """Return the images of a cell by split, those that were used; empty if any were taken away.

    Raises:
        UserError: if a file is damaged, naming it.
    """
    cell = folder / "cells" / result.cell
    arrays, data = cell / "arrays.h5", folder / "data" / f"{result.data.fingerprint}.h5"
    synthetic = cell / "synthetic" / f"{result.last.label}.h5"
    if not all(path.exists() for path in (arrays, data, synthetic)):
        return {}
    used = read_arrays(arrays, "training")["index"]  # (N,), into the training split
    return {
        "training": StoredImages(data, "training").subset(used.tolist()),
        "validation": StoredImages(data, "validation"),
        "synthetic": open_images(synthetic),
    }


def attack_curves(result: Result, path: Path) -> list[Figure]:
    """Draw the ROC curves of a cell's attacks; nothing where none was measured.

    Args:
        path: the cell's arrays.

    Raises:
        UserError: if the file is damaged, naming it.
    """
    curves, patients = {}, 0
    for name, found in result.membership.items():
        group = f"attack {name}"
        if found.auc is None or not has_arrays(path, group):
            continue
        scores = read_arrays(path, group)
        sides = (
            scores_of(scores[side], scores[f"{side}_patient"].tolist(), side)
            for side in ("members", "non_members")
        )
        curves[name] = roc(*sides)
        patients = found.non_member_patients
    alt = (
        "ROC curves of the membership attacks, on linear and on logarithmic axes, with the line of "
        "chance"
    )
    caption = "On grey ground: rates that the non-member patients are too few for."
    return figures_of(lambda: draw_attacks(curves, patients), alt, caption)


def _run(result: Result, path: Path, images: Mapping[str, StoredImages], key: bytes) -> ReportRun:
    labels = [c.label for c in result.evaluated] + [f"attack {name}" for name in result.membership]
    used = read_arrays(path, "training")["index"] if has_arrays(path, "training") else None
    names = {"training": ("training", used), "synthetic": (_synthetic(result), None)}
    return run_of("bench", result, path, labels, images, names, key)


def _synthetic(result: Result) -> str:
    """Return what the synthetic images are called in short names."""
    return f"{result.cell}/{result.last.label}"


def _mitigations(result: Result) -> Section | None:
    if not (effects := effects_in_words(result)):
        return None
    title = "What the mitigations did"
    return make_section("mitigations", title, "mitigations.html", effects=effects)


def _checkpoints(result: Result) -> Section | None:
    if len(result.evaluated) == 1:
        return None  # the counts below the answer are its
    alt = (
        "Share of memorized training images and of copies at each checkpoint, with what chance "
        "would give"
    )
    found = [(c, {m.name: m for m in measures_of(result, c)}) for c in result.evaluated]
    known = named_measures((result, c) for c in result.evaluated)
    return make_section(
        "checkpoints",
        "Every checkpoint",
        "checkpoints.html",
        result=result,
        rows=found,
        measures=list(known.values()),
        figures=figures_of(lambda: draw_checkpoints(result), alt),
    )


def _quality(result: Result) -> Section | None:
    if not (rows := quality_rows(result.evaluated)):
        return None
    alt = (
        "Memorization, and every measure of quality with the line of real images, at each "
        "checkpoint"
    )
    return make_section(
        "quality",
        "Quality and diversity",
        "quality.html",
        evaluated=result.evaluated,
        measures=rows,
        features=features_word(result.components.extractor, result.extractor_trained_on),
        figures=figures_of(
            lambda: draw_quality(result, rows),
            alt,
            "Dashed: real images in the place of the synthetic ones.",
        ),
    )


def _attacks(result: Result, path: Path) -> Section | None:
    if not result.membership:
        return None
    return make_section(
        "attacks",
        "Can it be told who was trained on?",
        "attacks.html",
        result=result,
        figures=attack_curves(result, path),
        contradiction=contradiction(result.membership, result.privacy),
    )


def _training(result: Result) -> Section | None:
    figures = figures_of(
        lambda: draw_losses(result.training), "Loss curves of every training phase"
    )
    note, r = "", result.reconstruction
    if r:
        note = (
            f"The autoencoder gives training images back with {r.training_psnr:.1f} dB PSNR and "
            f"validation images with {r.validation_psnr:.1f} dB. A training side that is clearly "
            "better says that the autoencoder itself has overfitted."
        )
    return figure_section("training", "Training", *figures, note=note) if figures or note else None


def _anchor(result: Result) -> str:
    return "cell-" + re.sub(r"[^a-z0-9]+", "-", result.cell.lower())


def _title(run: Run) -> str:
    tested = [result for result in run.results if not control(result)] or run.results
    if len(tested) == 1:
        return f"Has {tested[0].cell} memorized its training images?"
    return "Which generators have memorized their training images?"


def _lead(run: Run) -> str:
    first = run.results[0]
    suite = f"suite {first.suite.name} {first.suite.version}" if first.suite else "own data"
    return f"{suite}: {real_images(first.data.counts, first.data.spec)}; {run.file.created}"
