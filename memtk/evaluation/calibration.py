"""Calibration: all that is known of a copy detector before it sees a synthetic image."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from memtk.data.images import MemoryImages, StoredImages
from memtk.evaluation.detector import EmbeddedSets, TrainingSearch, nearest_both_ways
from memtk.evaluation.planted import PlantedSimilarity, Plants
from memtk.evaluation.population import population_test
from memtk.evaluation.sides import Groups, margin_reference
from memtk.interfaces import Similarity
from memtk.memorization import Exchangeability, Search, Source, cutoff
from memtk.memorization.patients import numbered, owners
from memtk.noise import derive
from memtk.results import has_arrays, read_arrays, write_arrays
from memtk.training.devices import Devices

CONFIDENCE = 0.95
"""Of intervals and bounds where no policy says otherwise."""


@dataclass(frozen=True)
class Patients:
    """The patient of each training and of each validation image; if empty, each is another.

    Args:
        strata: of the training and of the validation images, such as their site or scanner: images
            are compared within one. None: all with all.
        population: whether training and validation patients are one population; None: not tested.
    """

    training: Sequence[Hashable] = ()
    validation: Sequence[Hashable] = ()
    strata: tuple[Sequence[Hashable], Sequence[Hashable]] | None = None
    population: Exchangeability | None = None

    @classmethod
    def of(
        cls,
        training: StoredImages | MemoryImages,
        validation: StoredImages | MemoryImages,
        seed: int,
    ) -> Patients:
        """Return those of prepared images, with their strata if they have any; tested."""
        strata = (training.strata, validation.strata) if training.strata else None
        tested = population_test(training, validation, seed, strata)
        return cls(training.patients, validation.patients, strata, tested)


@dataclass(frozen=True)
class Calibration:
    """What does not depend on the synthetic set; computed once a detector.

    Args:
        arrays: "train_validation" (N,) and "validation_train" (V,), the similarity of each image to
            its nearest of the other set, float64; with "_index" which one that is, int64; and
            those of `margin_arrays`.
        planted: what the detector sees of planted copies; None if none were made.
        seed: of the resampling of the validation patients, the same for every synthetic set.
    """

    similarity: Similarity
    patients: Patients
    arrays: dict[str, np.ndarray]
    planted: PlantedSimilarity | None = None
    seed: int = 0

    @property
    def tau(self) -> float:
        """The threshold of the reference rule; see `memtk.memorization.cutoff`."""
        return cutoff(self.arrays["train_validation"])

    @property
    def strata(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The stratum of each training (N,) and validation image (V,) as a number; None without."""
        if self.patients.strata is None:
            return None
        mine, theirs = numbered(*self.patients.strata)
        return mine, theirs

    @property
    def margins(self) -> tuple[np.ndarray, np.ndarray]:
        """What margins are compared with; see `memtk.memorization.margin_test`."""
        return margin_reference(self.arrays, self.patients.validation)

    def kept(self) -> dict[str, np.ndarray]:
        """Return the arrays, with all that protocols need beside them.

        "training_patient" (N,) and "validation_patient" (V,) hold a number for each patient, where
        any has several images; "training_stratum" and "validation_stratum" one for each stratum,
        where there are any; "planted" (K,) the similarity of planted copies and "planted_source"
        the training images they were made of, where there are.
        """
        found = dict(self.arrays)
        for name, patients in (
            ("training_patient", self.patients.training),
            ("validation_patient", self.patients.validation),
        ):
            numbers: dict[Hashable, int] = {}
            codes = [numbers.setdefault(patient, len(numbers)) for patient in patients]
            if len(numbers) < len(codes):
                found[name] = np.array(codes)
        if self.strata is not None:
            found |= dict(zip(("training_stratum", "validation_stratum"), self.strata, strict=True))
        if self.planted is not None:
            found |= {"planted": self.planted.similarity, "planted_source": self.planted.sources}
        return found

    def groups(self, arrays: Mapping[str, np.ndarray]) -> Groups:
        """Return the similarities of a synthetic set (see `neighbours`) with whose they are."""
        people = self.patients
        return Groups(arrays, people.training, people.validation, people.population)


def calibrate(
    real: EmbeddedSets,
    similarity: Similarity,
    patients: Patients,
    planted: Plants | PlantedSimilarity | None = None,
    *,
    devices: Devices | None = None,
    seed: int = 0,
    kept: Path | None = None,
) -> Calibration:
    """Compare the training with the validation images, and planted copies with the training images.

    Args:
        real: the training and validation images as the detector sees them; it has seen the training
            images alone, or none of these images.
        planted: how copies are planted, or what was seen of given ones; None leaves them out.
        devices: that search; None: the CPU of this process.
        kept: the file in the run folder where the outcome is kept, and read if it is there.
    """
    arrays: dict[str, np.ndarray] = {}
    if kept is not None and has_arrays(kept, "neighbours"):
        arrays = read_arrays(kept, "neighbours")
    if "others" not in arrays:
        names = ("training images", "validation images")
        found = nearest_both_ways(devices, real.training, real.validation, similarity, names=names)
        arrays = flat("train", "validation", found)
        among = training_search(real, similarity, patients, devices)
        arrays |= margin_arrays(among, real.validation, arrays["validation_train_index"], seed)
        _keep(kept, "neighbours", arrays, devices)
    if isinstance(planted, Plants):
        if kept is not None and has_arrays(kept, "planted"):
            planted = planted.known(read_arrays(kept, "planted"))
        else:
            among = training_search(real, similarity, patients, devices)
            planted = planted.measure(real.detector, among)
            _keep(kept, "planted", planted.arrays(), devices)
    return Calibration(similarity, patients, arrays, planted, derive(seed, "tail"))


def flat(a: str, b: str, found: Search, prefix: str = "") -> dict[str, np.ndarray]:
    """Return the arrays of a search of `a` among `b` by name: "a_b", "a_b_index", "a_b_above"."""
    arrays = {}
    for name, side in ((f"{a}_{b}", found.queries), (f"{b}_{a}", found.references)):
        arrays[f"{prefix}{name}"] = side.similarity
        arrays[f"{prefix}{name}_index"] = side.index
        if side.above is not None:
            arrays[f"{prefix}{name}_above"] = side.above
    return arrays


def training_search(
    sets: EmbeddedSets, similarity: Similarity, patients: Patients, devices: Devices | None
) -> TrainingSearch:
    """Return the search of the training images for the nearest of another patient.

    Raises:
        UserError: if there is not one patient for each training image.
    """
    people = owners(patients.training, len(sets.training), "training images")
    return TrainingSearch(sets.training, people, similarity, devices)


def margin_arrays(
    among: TrainingSearch, validation: Source, nearest: np.ndarray, seed: int
) -> dict[str, np.ndarray]:
    """Return how near strangers, and training patients, are to a second training patient.

    "validation_train_second" (V,) is the similarity of each validation image to the nearest
    training image of another patient than the nearest one's. Of up to 1,000 training patients P,
    "others" (P,) is the similarity of an image to the nearest one of another patient, and
    "others_second" (P,) that to the nearest of a third. See
    `memtk.memorization.margin_test`.

    Args:
        validation: (V, D).
        nearest: the index of the training image nearest to each, (V,).
    """
    second = among.second(validation, nearest, "validation images")
    near, third = among.among_themselves(derive(seed, "margins"))
    return {"validation_train_second": second, "others": near, "others_second": third}


def _keep(
    path: Path | None, group: str, arrays: dict[str, np.ndarray], devices: Devices | None
) -> None:
    if path is None:
        return
    if devices is None or devices.is_main:
        write_arrays(path, group, arrays)
    if devices is not None:
        devices.wait()
