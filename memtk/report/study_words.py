"""What the page of a study says in words."""

from __future__ import annotations

from collections.abc import Sequence

from memtk.results.study import Study, StudyFile
from memtk.results.study_settings import Setting
from memtk.results.wording import many

_QUESTIONS = {
    "iterations": "What does longer training do to memorization?",
    "datasize": "What does the number of training images do to memorization?",
    "augmentation": "Does augmentation lower memorization?",
}

_NOUNS = {key: f"the {key}" for key in ("generator", "embedder", "similarity", "mitigation")}


def question(file: StudyFile) -> str:
    """Return the question that a study answers."""
    names = [axis.label for axis in file.axes if axis.key != "seed"]
    return _QUESTIONS.get(file.kind) or (
        f"How does memorization depend on {_listed([_NOUNS.get(n, n) for n in names])}?"
        if names
        else "How far do seeds lie apart?"
    )


def lead(study: Study, settings: Sequence[Setting]) -> str:
    """Return images, cells and seeds in a sentence."""
    first = settings[0].first
    counts, spec = first.data.counts, first.data.spec
    size = " × ".join(map(str, spec.shape))
    suite = f"suite {first.suite.name} {first.suite.version}" if first.suite else "own data"
    images = ", ".join(
        f"{many(counts[split].images, f'{split} image')} of "
        f"{many(counts[split].patients, 'patient')}"
        for split in ("training", "validation")
    )
    finished = study.runs - len(study.missing)
    return (
        f"{suite}: {images}, {size} voxels; {finished} of {many(study.runs, 'cell')} finished, "
        f"{many(len(settings), 'setting')}; study begun {study.file.created}"
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


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
