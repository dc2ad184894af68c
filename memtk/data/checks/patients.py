"""Checks of the patients: each is in one split, and there are training and validation images."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from memtk.data.checks.findings import Finding, refuse
from memtk.data.file_names import without_session
from memtk.data.manifest import few
from memtk.data.patients import SPLITS, near_equal, said
from memtk.data.sources import Sample
from memtk.errors import many, some

PATIENTS = "each patient is in one split"
STRATA = "each group has training and validation patients"
BOTH = "there are training and validation images"


def check_splits(samples: Sequence[Sample]) -> None:
    """Refuse patients in two splits, an empty training set and an empty validation set.

    Raises:
        UserError: counting the patients and naming the first.
    """
    refuse(split_findings(samples))


def split_findings(samples: Sequence[Sample], unnamed: Sequence[str] = ()) -> list[Finding]:
    """Return what is found about patients and splits; synthetic images are left out of it.

    Args:
        samples: all images.
        unnamed: groups of which nothing says whose the images are: see `Source.unnamed`.
    """
    return [_patients(real(samples), unnamed), _both_there(real(samples))]


def stratum_findings(samples: Sequence[Sample], column: str | None) -> list[Finding]:
    """Return how many training and validation patients each stratum has, if any are asked for."""
    if column is None:
        return []
    people: dict[str, dict[str, set[str]]] = {}
    for sample in samples:
        if sample.split in ("training", "validation"):
            splits = people.setdefault(sample.stratum, {"training": set(), "validation": set()})
            splits[sample.split].add(sample.patient)
    counts = {
        stratum: (len(splits["training"]), len(splits["validation"]))
        for stratum, splits in sorted(people.items())
    }
    found = "; ".join(f"{s}: {n} training, {v} validation" for s, (n, v) in counts.items())
    alone = [stratum for stratum, pair in counts.items() if not all(pair)]
    if not alone:
        return [Finding(STRATA, "accepted", f"patients by {column}: {found}")]
    way = (
        f"Nothing can be compared within {few(alone)}: add patients of the missing split, or write "
        f"one word for groups that may be compared with each other into the column {column}"
    )
    return [Finding(STRATA, "note", f"patients by {column}: {found}", way, tuple(alone))]


def real(samples: Iterable[Sample]) -> list[Sample]:
    """Return the images of patients, without the synthetic ones."""
    return [sample for sample in samples if sample.split != "synthetic"]


def _patients(samples: Sequence[Sample], unnamed: Sequence[str]) -> Finding:
    splits: dict[str, set[str]] = defaultdict(set)
    for sample in samples:
        splits[sample.patient].add(sample.split)
    named = {} if unnamed else splits
    shared = sorted(patient for patient, where in splits.items() if len(where) > 1)
    if shared:
        pairs = Counter(_together(splits[patient]) for patient in shared)
        where = ", ".join(f"{count} in {pair}" for pair, count in pairs.most_common())
        found = (
            f"{some(len(shared), len(splits), 'patient', 'is/are')} in more than one "
            f"split ({where}): "
        )
        return Finding(
            PATIENTS,
            "refused",
            found + few(shared),
            "Then a copy cannot be told from another image of the same patient. Put each patient "
            "into one split.\nIf nothing is trained yet, leave the column 'split' out: memtk then "
            "splits by patient itself. If a name is that of several people, tell them apart: in a "
            "manifest, or by --set data.patient_pattern=REGEX",
            tuple(shared),
        )
    if spelled := near_equal(named):
        shown = few([" and ".join(map(repr, names)) for names in spelled], "; ")
        parts = any(without_session(name) != name for names in spelled for name in names)
        by = "in a session, a side, a view or a slice" if parts else "in how they are spelled"
        how = "name the patient alone (--set data.patient_pattern=REGEX, or a manifest)"
        return Finding(
            PATIENTS,
            "refused",
            f"{many(len(spelled), 'patient')} of two splits differ only {by}: {shown}",
            f"If they are the same patients, {how if parts else 'spell them alike'} and put each "
            "into one split; if they are not, give them names that differ in more than "
            + ("these" if parts else "case, zeros and signs"),
            tuple(name for names in spelled for name in names),
        )
    if unnamed:
        whose = "the" if "real" in unnamed else f"the {' and '.join(map(said, unnamed))}"
        return Finding(
            PATIENTS,
            "note",
            f"nothing says whose {whose} images are: a patient in two splits would not be found",
            "Give a manifest with the column patient_id, or --set data.patient_pattern=REGEX",
        )
    return Finding(PATIENTS, "accepted", f"{many(len(splits), 'patient')}, none in two splits")


def _both_there(samples: Sequence[Sample]) -> Finding:
    counts = Counter(sample.split for sample in samples)
    there = ", ".join(f"{n} {said(split)}" for split, n in counts.items() if n) or "none"
    if not counts["training"]:
        way = (
            "Call their folder train, or trainval where its patients are to be split, or mark them "
            "as train in a manifest (path,patient_id,split)"
        )
        if len({sample.patient for sample in samples}) == 1 < len(samples):
            way = (
                "All count as images of one patient. If they are of several, say whose: "
                "--set data.patient_pattern=REGEX, or a manifest"
            )
        return Finding(BOTH, "refused", f"no training images: {there}", way)
    if not counts["validation"]:
        return Finding(
            BOTH,
            "refused",
            f"no validation set: {there}",
            "It must hold patients whom the generator has not seen: without them nothing says "
            "which likeness is ordinary.\n"
            "Mark some as val in the manifest's split (a folder of training images call trainval, "
            "then its patients are split), or leave the split out and say "
            "--set data.validation=0.2; data.resplit=true splits all patients anew",
        )
    return Finding(BOTH, "accepted", there)


def _together(splits: set[str]) -> str:
    return " and ".join(said(split) for split in SPLITS if split in splits)
