"""The folder of a study: made, gone on with, extended or thrown away."""

from __future__ import annotations

import shutil
from pathlib import Path

from memtk.errors import UserError
from memtk.results.study import STUDY, StudyFile, read_study_file, write_study_file

_CONTENTS = ("shared", "cells", "failed", "jobs", "logs", "report.html", "study.csv", STUDY)


def open_study(folder: Path, file: StudyFile, *, resume: bool = True) -> StudyFile:
    """Make a study's folder, or go on in it; return what `study.json` says now.

    A study that is there may be extended: cells of the same name and settings are kept as they
    are, new ones are added. A cell whose settings have changed refuses to go on by itself.

    Args:
        folder: held by `memtk.files.working_in`.
        file: what is asked.
        resume: False throws away what is there.

    Raises:
        UserError: if the folder holds something else.
    """
    there = {path.name for path in folder.iterdir()} - {".lock"}
    if STUDY not in there and (strangers := there - set(_CONTENTS)):
        raise UserError(f"{folder} is no study ({min(strangers)} is in it): use another --out")
    created = file.created
    if STUDY in there and resume:
        created = read_study_file(folder).created
    elif not resume:
        for name in _CONTENTS:
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    file = file.model_copy(update={"created": created})
    write_study_file(folder, file)
    return file
