"""Runs that are there already, as a study: nothing is trained or computed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from memtk.errors import UserError
from memtk.results import read_run
from memtk.results.seeds import signature
from memtk.results.study import STUDY, StudyFile, cell_folder, read_study_file


def study_of_runs(runs: Sequence[Path]) -> StudyFile:
    """Return the study of finished runs: their checkpoint series side by side.

    Args:
        runs: folders of `memtk bench`; a study's folder stands for all its cells.

    Raises:
        UserError: if one is not finished, or they are of different images.
    """
    folders = [folder for run in runs for folder in _folders(Path(run))]
    if doubles := [f for f in folders if folders.count(f) > 1]:
        raise UserError(f"{doubles[0]} is given twice")
    images: dict[str, Path] = {}
    known: dict[tuple[str, int], Path] = {}
    for folder in folders:
        found = read_run(folder)
        if found.missing:
            raise UserError(
                f"{folder} is not finished ({', '.join(found.missing)} is missing): run the same "
                "memtk bench command again"
            )
        images |= {result.data.fingerprint: folder for result in found.results}
        for result in found.results:
            key = (f"{result.cell} {signature(result)}", result.seed)
            if key in known:
                raise UserError(
                    f"{known[key]} and {folder} are the same run of {result.cell}, with the same "
                    "settings and seed: one of them is no further evidence. Leave one out."
                )
            known[key] = folder
    if len(images) > 1:
        first, second, *_ = images.values()
        raise UserError(
            f"{first} and {second} are of different images: their numbers cannot stand in one "
            "figure. Make a study of each."
        )
    return StudyFile(kind="iterations", runs=[str(folder) for folder in folders])


def _folders(run: Path) -> list[Path]:
    if not (run / STUDY).exists():
        return [run.absolute()]
    file = read_study_file(run)
    return [cell_folder(run, cell.name).absolute() for cell in file.cells] + [
        Path(folder) for folder in file.runs
    ]
