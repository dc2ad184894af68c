"""One synthetic set evaluated, from embeddings to numbers: for bench, audit and self-test alike."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from memtk.errors import PluginError, UserError, is_failure, many
from memtk.evaluation.calibration import Calibration, flat, margin_arrays, training_search
from memtk.evaluation.detector import EmbeddedSets, nearest_both_ways
from memtk.evaluation.planted import MIXED
from memtk.evaluation.quality import as_number
from memtk.evaluation.sides import identical_training
from memtk.evaluation.statistics import Tests, evidence_of, tests_of
from memtk.interfaces import Levels, Measure, ProtocolTable, Similarities
from memtk.memorization import IDENTICAL, Search
from memtk.registry import Entry
from memtk.results import Evidence, MeasureRecord, Table, Tables
from memtk.training.devices import Devices


@dataclass(frozen=True)
class Evaluation:
    """What is said of one synthetic set.

    Args:
        evidence: what the verdict rests on.
        protocols: the table of each protocol.
        arrays: what they were computed from and what was flagged; see `neighbours`, `Tests.flags`,
            `apply_protocols`.
        tests: of every rule.
    """

    evidence: Evidence
    protocols: Tables
    arrays: dict[str, np.ndarray]
    tests: Tests


def evaluate(
    copies: EmbeddedSets,
    exposure: EmbeddedSets | None,
    calibration: Calibration,
    levels: Levels,
    *,
    protocols: Sequence[Entry] = (),
    devices: Devices | None = None,
    seed: int = 0,
) -> Evaluation:
    """Search and test one synthetic set. Every process of several gets the same evaluation.

    The embedder must not have seen one side of a comparison and not the other. For the copies,
    synthetic against validation images, it has seen the training images alone; for the exposure,
    training against validation images, the synthetic images alone. In image space there is no
    embedder and both are the same.

    Args:
        copies: the sets as seen by the embedder of the copies, which `calibration` is of.
        exposure: as seen by that of the exposure; None leaves the exposure out.
        calibration: what does not depend on the synthetic set.
        levels: of the tests and intervals.
        protocols: that measure the set too; the evidence rests on none of them.
        devices: that search; None: the CPU of this process.
        seed: of the draws that the interval of the copy rate rests on.

    Raises:
        UserError: if a set is empty or of another size than its patients, or a row has no
            similarity.

    >>> from memtk.evaluation import Patients, calibrate
    >>> from memtk.registry import open_registry
    >>> cosine = open_registry().load("similarity", "cosine")()
    >>> angles = {"training": [0.0, 1.0, 2.0], "validation": [0.5, 1.5], "synthetic": [1.0, 2.7]}
    >>> sets = EmbeddedSets(**{k: np.stack([np.cos(v), np.sin(v)], 1) for k, v in angles.items()})
    >>> said = evaluate(sets, None, calibrate(sets, cosine, Patients()), Levels())
    >>> said.arrays["memorized"].tolist(), said.arrays["copies_p"].round(3).tolist()
    ([False, True, False], [0.333, 1.0])
    """
    arrays = neighbours(copies, exposure, calibration, devices)
    groups = calibration.groups(arrays)
    tests = tests_of(groups, levels, calibration.seed)
    evidence = evidence_of(tests, groups, levels, seed)
    tables, flags = apply_protocols(protocols, Similarities.of_arrays(arrays), levels)
    return Evaluation(evidence, tables, {**arrays, **tests.flags, **flags}, tests)


def neighbours(
    copies: EmbeddedSets,
    exposure: EmbeddedSets | None,
    calibration: Calibration,
    devices: Devices | None = None,
) -> dict[str, np.ndarray]:
    """Return the nearest neighbours of one synthetic set, both ways; see `evaluate`.

    "a_b" is the similarity of each a image to its nearest b image, float64; "a_b_index" which one
    it is, int64; "a_b_above" how many are above tau, int64. From the embedder of the copies:
    train_validation, validation_train, train_synthetic, synthetic_train with their _index, the
    latter two with _above. From that of the exposure, if there: exposure_train_synthetic,
    exposure_synthetic_train, exposure_validation_synthetic, exposure_synthetic_validation with
    their _index. "synthetic_train_second" (M,) is the similarity of each synthetic image to the
    nearest training image of another patient than the nearest one's;
    "exposure_train_synthetic_second" (N,) that of the synthetic image nearest to each training
    image to the nearest one of another patient than that image's; "exposure_validation_train" (V,)
    and the others of `margin_arrays` stand beside it with "exposure_" in front. "exposure_planted"
    (K,) is the similarity of each training image that a copy was planted of to this copy.
    "synthetic_identical", bool (M,), and "exposure_train_identical", bool (N,): which are, voxel
    for voxel, one of the others, where that is known. And what `Calibration.kept` has beside them.
    """
    people = calibration.patients.training
    if len(people) not in (0, len(copies.training)):
        raise UserError(
            f"{many(len(copies.training), 'training image')} but "
            f"{many(len(people), 'patient')}: name the patient "
            "of each image."
        )

    def nearest(sets: EmbeddedSets, group: str, threshold: float | None = None) -> Search:
        assert sets.synthetic is not None
        return nearest_both_ways(
            devices,
            getattr(sets, group),
            sets.synthetic,
            calibration.similarity,
            threshold=threshold,
            names=(f"{group} images", "synthetic images"),
        )

    made = nearest(copies, "training", calibration.tau)
    arrays = {**calibration.kept(), **flat("train", "synthetic", made)}
    if copies.identical is not None:
        arrays[IDENTICAL] = copies.identical
    assert copies.synthetic is not None
    among = training_search(copies, calibration.similarity, calibration.patients, devices)
    arrays["synthetic_train_second"] = among.second(
        copies.synthetic, made.references.index, "synthetic images"
    )
    if exposure is None:
        return arrays
    same = calibration.similarity.space == "image" or exposure is copies
    seen = made if same else nearest(exposure, "training")
    unseen = nearest(exposure, "validation")
    seen = Search(replace(seen.queries, above=None), replace(seen.references, above=None))
    arrays |= flat("train", "synthetic", seen, "exposure_")
    arrays |= flat("validation", "synthetic", unseen, "exposure_")
    arrays |= _exposure_margins(exposure, calibration, arrays, devices, same=same)
    arrays |= identical_training(arrays)
    planted = calibration.planted
    if planted is not None and (back := planted.to_sources(exposure, calibration.similarity)):
        arrays["exposure_planted"] = back[MIXED]
    return arrays


def _exposure_margins(
    sets: EmbeddedSets,
    calibration: Calibration,
    arrays: Mapping[str, np.ndarray],
    devices: Devices | None,
    *,
    same: bool,
) -> dict[str, np.ndarray]:
    """Return how near training images and strangers come to a second training patient.

    Args:
        sets: in the eyes of the embedder of the exposure.
        same: whether the copies were looked for with the same eyes.
    """
    assert sets.synthetic is not None
    similarity, names = calibration.similarity, ("validation images", "training images")
    among = training_search(sets, similarity, calibration.patients, devices)
    nearest = arrays["exposure_synthetic_train_index"]
    if same:
        margins = ("validation_train", "validation_train_second", "others", "others_second")
        found, second = {name: arrays[name] for name in margins}, arrays["synthetic_train_second"]
    else:
        near = nearest_both_ways(
            devices, sets.validation, sets.training, similarity, names=names
        ).queries
        found = margin_arrays(among, sets.validation, near.index, calibration.seed)
        found["validation_train"] = near.similarity
        second = among.second(sets.synthetic, nearest, "synthetic images")
    shown = arrays["exposure_train_synthetic_index"]  # the synthetic image of each, (N,)
    own = among.owner == among.owner[nearest[shown]]
    other = np.where(own, second[shown], arrays["exposure_synthetic_train"][shown])
    return {f"exposure_{k}": v for k, v in found.items()} | {
        "exposure_train_synthetic_second": other
    }


def apply_protocols(
    protocols: Sequence[Entry], similarities: Similarities, levels: Levels
) -> tuple[Tables, dict[str, np.ndarray]]:
    """Return the table of each protocol, and the images that it flags, by "flagged_NAME_SET".

    A protocol that fails has a table that says so, and the others are not touched by it: the
    arrays of `similarities` can be written no more.

    Args:
        protocols: where two plugins bring one of a name, they are called "plugin/name".
    """
    for value in vars(similarities).values():
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    sizes = {
        "training": len(similarities.train_synthetic),
        "synthetic": len(similarities.synthetic_train),
        "validation": len(similarities.validation_train),
    }
    tables: Tables = {}
    flags: dict[str, np.ndarray] = {}
    for name, entry in named_protocols(protocols).items():
        try:
            found: ProtocolTable = entry.load()()(similarities, levels)
            table = {key: record_of(measure) for key, measure in found.measures.items()}
            if odd := [key for key in table if not isinstance(key, str) or not key]:
                raise PluginError(f"{entry.origin} names a measure by {type(odd[0]).__name__}")
            flags |= {
                f"flagged_{name.replace('/', '_')}_{group}": _flags(entry, group, flagged, sizes)
                for group, flagged in found.flags.items()
            }
            tables[name] = table
        except PluginError as error:
            tables[name] = _failed(str(error))
        except BaseException as error:  # a plugin may raise anything; its message may name a file
            if not is_failure(error):
                raise
            tables[name] = _failed(f"{type(error).__name__}: memtk plugins test {name} shows why")
    return tables, flags


def _flags(entry: Entry, group: str, flagged: Any, sizes: Mapping[str, int]) -> np.ndarray:
    if group not in sizes:
        raise PluginError(f"{entry.origin} flags images of no set: there are {', '.join(sizes)}")
    found = np.asarray(flagged)
    if found.dtype != bool or found.shape != (sizes[group],):
        raise PluginError(
            f"{entry.origin} flags {group} images by {found.dtype} of shape {found.shape}, "
            f"expected bool of ({sizes[group]},)"
        )
    return found


def named_protocols(protocols: Sequence[Entry]) -> Mapping[str, Entry]:
    """Return protocols by the name that their tables have."""
    names = [entry.name for entry in protocols]
    return {
        e.name if names.count(e.name) == 1 else f"{e.plugin.name}/{e.name}": e for e in protocols
    }


def record_of(measure: Measure) -> MeasureRecord:
    """Return a measure as it is stored; a number that is not finite is none."""

    def number(each: float | None) -> float | None:
        found = None if each is None else as_number(each)
        return found if found is not None and math.isfinite(found) else None

    value = number(measure.value)
    low, high = map(number, measure.interval or (None, None))
    return MeasureRecord(
        value=value,
        title=measure.title,
        side=measure.side,
        count=None if value is None else _count(measure.count),
        of=None if measure.of is None else operator.index(measure.of),
        null=number(measure.null),
        interval=None if low is None or high is None else (low, high),
        better=measure.better,
        note=measure.note or ("It is undefined here." if value is None else ""),
    )


def _count(count: float | None) -> int | float | None:
    if count is None or not math.isfinite(as_number(count)):
        return None
    return int(count) if isinstance(count, int | np.integer) else float(count)


def _failed(why: str) -> Table:
    return {"failed": MeasureRecord(value=None, title="not measured", side="", better="", note=why)}
