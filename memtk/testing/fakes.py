"""Made-up results, by the numbers that matter: of a bench, of an audit, of a self-test.

This file alone knows the fields of a result; tests, and the checks of report sections, ask it. Each
image is of a patient of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from memtk.intervals import clopper_pearson
from memtk.results import (
    Audit,
    AuditVerdict,
    Checkpoint,
    Comparable,
    Components,
    Counts,
    Data,
    Device,
    EmbedderTrainedOn,
    Evidence,
    Exposed,
    Found,
    GroupTest,
    MeasureRecord,
    Named,
    Planted,
    Policy,
    Rate,
    RateInterval,
    Result,
    SelfTest,
    Spec,
    Specificity,
    Suite,
    Tables,
    ThresholdRates,
    Used,
    decide,
)

SCRIPT = "<script>alert(1)</script>"
"""Stands in every name of a hostile result."""

PATH = "/home/someone/patients/PAT-00417.nii.gz"
"""Stands in the settings of a component, where a result may hold it and a report may not."""

FINGERPRINT = "0123456789abcdef0123456789abcdef"
"""Of the made-up images."""

SEEN = {"false_positive_rate": 0.02, "sensitivity": 0.95}
VERSIONS = {"python": "3.11", "torch": "2.13.0"}

CLEAN = {"exposed": 0, "copies": 0, "low": 0.0, "estimate": 0.01, "bound": 0.03}
"""Figures of an audit that pass the default policy, with the default self-test."""

KINDS = {
    "exact": ("", (0.0,), 0.0),
    "flip": ("", (1.0,), 1.0),
    "rotation": ("degrees", (2.0, 5.0, 10.0), 5.0),
    "blur": ("% of the side", (1.5, 3.0, 6.0), 3.0),
}
"""Planted copies of a self-test: unit, strengths and nominal strength."""


def used(name: str = "toy", plugin: str = "toys", **config: Any) -> Used:
    """Return a component that took part, with its settings."""
    return Used(name=name, plugin=plugin, distribution="memtk", version="0.1.0", config=config)


def counts(**images: int) -> dict[str, Counts]:
    """Return the counts of sets: `counts(training=20)`."""
    return {name: Counts(images=n, patients=n) for name, n in images.items()}


def data(shape: Sequence[int] = (8, 8), spacing: Sequence[float] = (), **images: int) -> Data:
    """Return what is stored of a data set: `data((8, 8), training=20, validation=20)`."""
    return Data(
        fingerprint=FINGERPRINT,
        source="manifest",
        spec=Spec(shape=list(shape), channels=1, spacing=list(spacing)),
        counts=counts(**images),
    )


def evidence(
    *,
    dar: int = 3,
    copies: int | Named | None = 0,
    exposed: int | tuple[int, int] | None = 0,
    n: int = 64,
    m: int = 64,
    validation: int = 64,
    **fields: Any,
) -> Evidence:
    """Return what a verdict rests on.

    Args:
        dar: training images that the reference rule calls memorized, and copies of them.
        copies: synthetic images that are named for sure.
        exposed: patients that are named for sure, with three more not excluded; a range; or None.
        fields: further ones of the evidence.
    """
    p = 1 / (validation + 1)
    if not isinstance(copies, Named):
        copies = named(copies or 0, m, validation=validation)
    made: dict[str, Any] = {
        "alpha": 0.05,
        "fdr": 0.1,
        "tau": 0.9,
        "reference_n_mem": dar,
        "reference_null": 1 - 0.95 ** (m / validation),
        "copies": copies,
        "comparable": Comparable(
            population=GroupTest(p=0.4, size=0.01),
            synthetic=GroupTest(p=0.5, size=0.05, nearer=False),
        ),
        "n_copies": copies.suspect,
        "min_p": p,
        "can_reject": copies.model != "ranks" or p <= 0.1,
    }
    if exposed is not None:
        low, high = (exposed, exposed + 3) if isinstance(exposed, int) else exposed
        people = named(low, n, validation=validation)
        made |= {
            "training_images": people,
            "patients": people,
            "exposed": Exposed(low=low, high=min(n, high), of=n, **SEEN),
            "n_mem": low,
            "patients_exposed": low,
        }
    return Evidence(**made | fields)


def named(sure: int, of: int, *, validation: int = 64, **fields: Any) -> Named:
    """Return how many units are named: all of them for sure, unless `fields` say otherwise."""
    model: dict[str, Any] = {"model": "pareto", "check": 0.4}
    if validation < 20:
        few = f"{validation} validation patients are too few to model their tail: 20 are needed"
        model = {"model": "ranks", "reason": few}
    return Named(**{"of": of, "sure": sure, "suspect": sure, "at_least": sure} | model | fields)


def by_ranks(found: Evidence) -> Evidence:
    """Return evidence as an older memtk wrote it, which named by ranks."""
    new = ("copies", "training_images", "patients", "exposed", "comparable", "threshold")
    return found.model_copy(update=dict.fromkeys(new))


def tables(found: Evidence, n: int = 64, m: int = 64, validation: int = 64) -> Tables:
    """Return tables of three protocols that say the same as the evidence."""
    dar, called = found.reference_n_mem, min(3, validation)
    null = math.floor(found.alpha / found.min_p) * found.min_p  # of the share of p-values <= alpha
    conformal = {"n_copies": share("copies flagged", "synthetic", found.n_copies, m)}
    near = {"copies": share("synthetic images, p <= 0.05", "synthetic", found.n_copies, m, null)}
    if found.n_mem is not None and found.patients_exposed is not None:
        conformal |= {
            "n_mem": share("training images flagged", "training", found.n_mem, n),
            "patients_exposed": share("exposed patients", "training", found.patients_exposed, n),
        }
        near["exposed"] = share("training images, p <= 0.05", "training", found.n_mem, n, null)
    return {
        "conformal": conformal | near,
        "dar": {
            "n_mem": share("memorized, n_mem / N", "training", dar, n, found.reference_null),
            "n_copies": share("copies, n_copies / M", "synthetic", dar, m, called / validation),
            "validation_called_copies": share("called copies", "validation", called, validation),
        },
        "dar-matched": {"n_mem": share("at equal sizes", "training", float(dar), n, 0.05)},
    }


def share(title: str, side: Any, count: float, of: int, null: float | None = None) -> MeasureRecord:
    """Return a measure of a protocol: a count of images."""
    return MeasureRecord(value=count / of, title=title, side=side, count=count, of=of, null=null)


def result(shape: Sequence[int] = (8, 8), steps: Sequence[int] = (900,), **said: Any) -> Result:
    """Return the result of a cell.

    Args:
        said: arguments of `evidence`, for every checkpoint, and fields of a result.
    """
    fields = {name: said.pop(name) for name in [*said] if name in Result.model_fields}
    n, m, validation = (said.get(name, 64) for name in ("n", "m", "validation"))
    values: dict[str, Any] = {
        "memtk_version": "0.1.0",
        "cell": "toy",
        "preset": "smoke",
        "components": Components(generator=used(), similarity=used()),
        "data": data(shape, training=n, validation=validation),
        "used_training": Counts(images=n, patients=n),
        "seed": 0,
        "versions": VERSIONS,
        "device": Device(name="cpu", processes=1),
        "checkpoints": [
            Checkpoint(
                step=step,
                n_synthetic=m,
                evidence=evidence(**said),
                protocols=tables(evidence(**said), n, m, validation),
            )
            for step in steps
        ],
    }
    return Result.model_validate(values | fields)


def without_copy_rate(result: Result) -> Result:
    """Return a result as an older memtk wrote it, which computed no copy rate."""
    none = {"copy_rate": None, "copy_rate_upper_bound": None, "confidence": None}
    checkpoints = []
    for checkpoint in result.checkpoints:
        found = checkpoint.evidence.model_copy(update=none)
        checkpoints.append(checkpoint.model_copy(update={"evidence": found}))
    return result.model_copy(update={"checkpoints": checkpoints})


def rate(count: int, n: int, low: float | None = None) -> Rate:
    """Return a count out of n with its exact interval, or with another lower end."""
    if not n:
        return Rate(count=0, n=0, rate=0, low=0, high=1)
    exact = clopper_pearson(count, n)
    low = exact.low if low is None else low
    return Rate(count=count, n=n, rate=count / n, low=low, high=exact.high)


def selftest(
    found: int = 96,
    n: int = 100,
    *,
    low: float | None = None,
    exposure: int | None = None,
    kinds: Sequence[str] = ("exact",),
    **fields: Any,
) -> SelfTest:
    """Return a self-test in which `found` of n mixed copies were noticed.

    Args:
        low: lower end of the interval of that sensitivity.
        exposure: how many of n had their training image flagged; None if it was not tested.
        kinds: of planted copies, from `KINDS`; above nominal strength half as many are noticed.
    """

    def seen(count: int, low: float | None = None) -> Found:
        flagged = round((exposure or 0) * count / max(found, 1))
        return Found(
            dar=rate(min(n, round(count + 0.03 * n)), n),
            conformal=rate(count, n, low),
            min_p=rate(round(0.9 * count), n),
            exposure=None if exposure is None else rate(flagged, n),
            right_image=rate(round(0.97 * count), count),
            right_patient=rate(round(0.98 * count), count),
        )

    plants = [
        Planted(
            kind=kind,
            strength=strength,
            unit=unit,
            nominal=strength <= nominal,
            found=seen(found if strength <= nominal else round(found / 2)),
        )
        for kind, (unit, strengths, nominal) in KINDS.items()
        for strength in strengths
        if kind in kinds
    ]
    missed = rate(57, 60)
    values: dict[str, Any] = {
        "confidence": 0.95,
        "specificity_from": "validation",
        "sensitivity": seen(found, low),
        "specificity": Specificity(
            dar=rate(54, 60), conformal=missed, exposure=None if exposure is None else missed
        ),
        "plants": plants,
    }
    return SelfTest.model_validate(values | fields)


def audit(
    *,
    test: Mapping[str, Any] | SelfTest | None = MappingProxyType({}),
    policy: Policy | None = None,
    identical: int = 0,
    given: bool = False,
    found: Evidence | None = None,
    protocols: Tables | None = None,
    **said: Any,
) -> Audit:
    """Return an audit, of 100 synthetic images and 64 training patients by default; it passes.

    Args:
        test: its self-test, or what differs in it; None if none was run.
        identical: synthetic images whose voxels are those of a training image.
        given: whether embeddings were given, not images.
        found: what the verdict rests on; by default it is made of `said`, and the tables of it.
        said: `estimate` and `low` of the copy rate, its `bound`, arguments of `evidence`, and
            fields of an audit.
    """
    fields = {name: said.pop(name) for name in [*said] if name in Audit.model_fields}
    said, policy = {"n": 64, "m": 100, "validation": 64} | CLEAN | said, policy or Policy()
    sets = counts(training=said["n"], validation=said["validation"], synthetic=said["m"])
    if found is None:
        estimate, low, bound = (said.pop(name) for name in ("estimate", "low", "bound"))
        rate = None
        if estimate is not None:
            high = min(1.0, max(estimate + 0.05, bound or 0.0))
            rate = RateInterval(estimate=estimate, low=low, high=high)
        measured = {
            "confidence": 0.95,
            "copy_rate": rate,
            "copy_rate_upper_bound": bound,
            "threshold": ThresholdRates(
                similarity=0.92,
                flagged=1,
                flagged_high=0.03,
                false_positive_rate=0.01,
                sensitivity=0.96,
            ),
        }
        found = evidence(**measured | said)
    if test is not None and not isinstance(test, SelfTest):
        test = selftest(**test)
    values: dict[str, Any] = {
        "memtk_version": "0.2.0",
        "verdict": decide(policy, found, test, sets, identical_images=identical),
        "policy": policy,
        "evidence": found,
        "protocols": tables(found, said["n"], said["m"], said["validation"])
        if protocols is None
        else protocols,
        "selftest": test,
        "identical_images": identical,
        "counts": sets,
        "similarity": used(),
        "embedder_trained_on": None
        if given
        else EmbedderTrainedOn(copies="training", exposure="synthetic"),
        "data": None if given else data(training=said["n"], validation=said["validation"]),
        "seed": 0,
        "versions": VERSIONS,
        "device": Device(name="cpu", processes=1),
    }
    return Audit.model_validate(values | fields)


def hostile_result() -> dict[str, Any]:
    """Return a cell's result as JSON reads it, with `SCRIPT` in every name and `PATH` within."""
    made = result(
        steps=(1, 2),
        suite=Suite(name=f"suite {SCRIPT}", version="1"),
        preset=f"smoke {SCRIPT}",
        components=Components(
            generator=_hostile("generator"),
            embedder=_hostile("embedder"),
            similarity=_hostile("similarity"),
            mitigations=[_hostile("mitigation")],
            quality=[_hostile("quality")],
        ),
        **_hostile_fields(),
    )
    tree = made.model_dump(mode="json") | {"cell": f"gen {SCRIPT}"}  # no file may say that
    for checkpoint in tree["checkpoints"]:
        checkpoint["quality"] = {f"fid {SCRIPT}": 1.5}
    return tree


def hostile_audit() -> dict[str, Any]:
    """Return the result of an audit likewise."""
    made = audit(
        **_hostile_fields(),
        verdict=AuditVerdict(outcome="fail", reasons=[f"4 images are copies {SCRIPT}."]),
        similarity=_hostile("similarity"),
        embedder=_hostile("embedder"),
    )
    return made.model_dump(mode="json")


def _hostile(name: str) -> Used:
    config = {"weights": PATH, "note": SCRIPT}
    about = {"plugin": f"plugin {SCRIPT}", "distribution": f"package {SCRIPT}", "version": "1"}
    return Used(name=f"{name} {SCRIPT}", config=config, **about)


def _hostile_fields() -> dict[str, Any]:
    return {
        "memtk_version": f"0 {SCRIPT}",
        "data": data(training=10, validation=10).model_copy(update={"source": f"data {SCRIPT}"}),
        "versions": {"python": f"3 {SCRIPT}"},
        "device": Device(name=f"cpu {SCRIPT}", processes=1),
    }
