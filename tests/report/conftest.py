"""Made-up runs: a folder as `memtk bench` leaves it, with images of 2D or 3D."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch

from memtk.data.images import create_images, write_images
from memtk.interfaces import ImageSpec
from memtk.memorization import (
    Embeddings,
    clopper_pearson,
    copy_rate,
    exposed_patients,
    judge,
    minimum_detectable,
    p_values,
)
from memtk.registry import open_registry
from memtk.report import build_audit_report, build_report
from memtk.results import (
    Audit,
    Checkpoint,
    Components,
    Conformal,
    Counts,
    Dar,
    DarMatched,
    Data,
    Device,
    EmbedderSaw,
    Found,
    Planted,
    Policy,
    Protocols,
    Rate,
    RateInterval,
    Reconstruction,
    Result,
    RunFile,
    SelfTest,
    Spared,
    Spec,
    Suite,
    Used,
    decide,
    read_run,
    write_arrays,
    write_audit,
    write_result,
    write_run_file,
)

PATIENT = "PAT-00417"
"""Begins every patient's number; no report may show it."""
FINGERPRINT = "0123456789abcdef0123456789abcdef"


def smooth(rng, count, shape):
    """Images that differ in a few waves, (count, 1, *S) in [-1, 1]."""
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    phases = rng.uniform(0, 6.3, (count, 4))
    speeds = rng.uniform(1, 5, (count, 4, len(shape)))
    waves = sum(
        np.cos(phases[:, k].reshape(-1, *[1] * len(shape)) + np.tensordot(speeds[:, k], axes, 1))
        for k in range(4)
    )
    inside = sum(a**2 for a in axes) < 0.8
    return np.where(inside, waves / 4, -1.0)[:, None].astype(np.float32)


def protocols(said):
    copies, exposure = said.copies, said.exposure
    names = ("tau", "n_mem", "n_copies", "mem_fraction", "copy_fraction", "expected_mem_fraction")
    return Protocols(
        dar=Dar(
            **{name: getattr(said.dar, name) for name in names},
            validation_called_copies=said.dar.validation_called_copies,
        ),
        dar_matched=DarMatched(
            n_mem=said.matched.n_mem,
            mem_fraction=said.matched.mem_fraction,
            reason=said.matched.reason,
        ),
        conformal=Conformal(
            alpha=0.05,
            fdr=0.1,
            copies_flagged_fraction=copies.flagged_fraction,
            copies_expected_fraction=copies.expected_fraction,
            n_copies=copies.n_flagged,
            exposed_flagged_fraction=exposure.flagged_fraction if exposure else None,
            exposed_expected_fraction=exposure.expected_fraction if exposure else None,
            n_mem=exposure.n_flagged if exposure else None,
            patients_exposed=said.patients_exposed,
            finest_p=copies.min_p,
            can_reject=copies.can_reject,
        ),
    )


def used(name, plugin, **config):
    return Used(name=name, plugin=plugin, distribution="memtk", version="0.1.0", config=config)


def write_data(folder, sets, spec):
    """Write the images of a run, (n, C, *S) by split."""
    (folder / "data").mkdir(parents=True)
    with h5py.File(folder / "data" / f"{FINGERPRINT}.h5", "w") as file:
        for split, x in sets.items():
            group = file.create_group(split)
            create_images(group, len(x), spec)[:] = x
            group["images"].attrs["complete"] = True
            group["patients"] = [f"{PATIENT}{split}{i}" for i in range(len(x))]


def write_run(folder, shape=(12, 12), cells=None, count=24, steps=(100, 200), seed=0):
    """Write a run; `cells` gives the share of the training images that each gives back."""
    rng = np.random.default_rng(seed)
    cells = {"monai": 0.6} if cells is None else cells
    spec = ImageSpec(tuple(shape), 1, (1.0, 2.0, 3.0)[-len(shape) :])
    training, validation = smooth(rng, count, shape), smooth(rng, count, shape)
    write_data(folder, {"training": training, "validation": validation}, spec)
    for cell, share in cells.items():
        _write_cell(folder, cell, share, training, validation, spec, steps, rng)
    recipe = {
        "suite": None,
        "bench": {"generator": list(cells), "preset": "smoke", "fdr": 0.1, "samples": None},
        "data": {"source": "/home/hospital/Doe_John_1957/manifest.csv", "shape": list(shape)},
        "settings": {"generator": {"weights": "/home/hospital/Doe_John_1957/net.pt"}},
    }
    write_run_file(folder, RunFile(recipe=recipe, cells=list(cells), created="today"))
    (folder / "key").write_text("ab" * 32)
    return folder


@pytest.fixture
def make_run(tmp_path):
    """`make_run(shape, cells, ...)`: see `write_run`."""
    return lambda **asked: write_run(tmp_path / "Doe_John_1957", **asked)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A run of two generators with its report, to be read only."""
    folder = tmp_path_factory.mktemp("runs") / "Doe_John_1957"
    write_run(folder, cells={"monai+aug": 0.6, "independent": 0.0})
    build_report(folder)
    return folder


@pytest.fixture
def results(finished):
    """Of the two generators: one that memorized, one that did not."""
    return read_run(finished).results


@pytest.fixture
def plain(monkeypatch):
    """Leave the figures undrawn, where a test is not about them."""
    drawn = {"sections": ["similarities"], "bench": ["checkpoints", "losses"]}
    for module, names in drawn.items():
        for name in names:
            monkeypatch.setattr(
                f"memtk.report.{module}.draw_{name}", lambda *args: "data:image/svg+xml;base64,"
            )


def _write_cell(folder, cell, share, training, validation, spec, steps, rng):
    home, count = folder / "cells" / cell, len(training)
    similarity = open_registry().load("similarity", "pearson")()
    order, checkpoints = rng.permutation(count), []
    for number, step in enumerate(steps):
        synthetic = smooth(rng, count, spec.shape)
        copied = order[: round(share * count * (number + 1) / len(steps))]
        noise = rng.normal(0, 0.05, synthetic[: len(copied)].shape).astype(np.float32)
        synthetic[: len(copied)] = np.clip(training[copied] + noise, -1, 1)
        write_images(
            home / f"synthetic/step-{step:06d}.h5", [torch.from_numpy(synthetic)], count, spec
        )
        rows = Embeddings(*(x.reshape(count, -1) for x in (training, validation, synthetic)))
        said = judge(rows, rows if step == steps[-1] else None, similarity=similarity)
        write_arrays(home / "arrays.h5", f"step-{step:06d}", said.arrays)
        checkpoints.append(
            Checkpoint(
                step=step,
                n_synthetic=count,
                protocols=protocols(said),
                quality={"fid": 12.5 / (number + 1)},
            )
        )
    write_arrays(home / "arrays.h5", "training", {"index": np.arange(count)})
    curve = [(s, {"mse": 1 / (1 + s), "kl": 0.5 / (1 + s)}) for s in range(1, 200, 4)]
    result = Result(
        memtk_version="0.1.0",
        cell=cell,
        suite=Suite(name="phantom", version="1") if len(spec.shape) == 3 else None,
        preset="smoke",
        components=Components(
            generator=used(cell, "toy", weights="/home/hospital/net.pt", steps=200),
            embedder=used("ntxent", "contrastive", width=32),
            similarity=used("pearson", "measures"),
            mitigations=[used("augment", "mitigations")],
        ),
        data=Data(
            fingerprint=FINGERPRINT,
            source="manifest",
            spec=Spec(shape=list(spec.shape), channels=1, spacing=list(spec.spacing)),
            recipe={"intensity": "percentiles 0.5 to 99.5", "pattern": r"(PAT-\d+)_.*"},
            counts={s: Counts(images=count, patients=count) for s in ("training", "validation")},
        ),
        used_training=Counts(images=count, patients=count),
        seed=3,
        versions={"python": "3.11", "torch": "2.13.0"},
        device=Device(name="cpu", processes=1, precision={"diffusion": "float32"}),
        timing={f"training {cell}": 75.0},
        training={"generator": {"diffusion": curve}, "embedder": {"training": curve}},
        reconstruction=Reconstruction(training_psnr=31.0, validation_psnr=24.0),
        embedder_saw=EmbedderSaw(copies="training", exposure="synthetic"),
        checkpoints=checkpoints,
    )
    write_result(home / "result.json", result)


KINDS = {
    "exact": ("", (0.0,), 0.0),
    "flip": ("", (1.0,), 1.0),
    "rotation": ("degrees", (2.0, 5.0, 10.0), 5.0),
    "blur": ("% of the side", (1.5, 3.0, 6.0), 3.0),
}
"""Unit, strengths and nominal strength of the planted copies of a made-up self-test."""


def rate(share, n):
    """A rate with its exact interval."""
    if not n:
        return Rate(count=0, n=0, rate=0, low=0, high=1)
    said = clopper_pearson(round(share * n), n)
    return Rate(count=round(share * n), n=n, rate=said.estimate, low=said.low, high=said.high)


def found(share, n, exposure=True):
    return Found(
        dar=rate(min(1, share + 0.03), n),
        conformal=rate(share, n),
        finest=rate(0.9 * share, n),
        exposure=rate(0.95 * share, n) if exposure else None,
        right_image=rate(0.97, round(share * n)),
        right_patient=rate(0.98, round(share * n)),
    )


def make_selftest(share=0.97, n=80, exposure=True):
    """A self-test that notices `share` of the copies, fewer of those that are changed more."""
    plants = [
        Planted(
            kind=kind,
            strength=strength,
            unit=unit,
            nominal=strength <= nominal,
            found=found(share if strength <= nominal else 0.5 * share, n, exposure),
        )
        for kind, (unit, strengths, nominal) in KINDS.items()
        for strength in strengths
    ]
    return SelfTest(
        confidence=0.95,
        specificity_from="held_out",
        sensitivity=found(share, n, exposure),
        specificity=Spared(
            dar=rate(0.9, 60),
            conformal=rate(0.95, 60),
            exposure=rate(0.95, 60) if exposure else None,
        ),
        plants=plants,
    )


def measured(said, share, n, m):
    """The conformal record of an audit, with rates computed from a judgement."""
    arrays = said.arrays
    copies = np.where(np.arange(80) < share * 80, 2.0, -2.0)  # of which this share is noticed
    strangers = arrays["validation_train"]
    copied = copy_rate(arrays["synthetic_train"], strangers, None, copies, draws=2000)
    detectable = minimum_detectable(p_values(copies, strangers), len(strangers), m, fdr=0.1)
    changes = {
        "confidence": 0.95,
        "copy_rate": RateInterval(estimate=copied.estimate, low=copied.low, high=copied.high),
        "copy_rate_upper_bound": copied.upper_bound,
        "minimum_detectable_copy_rate": detectable,
    }
    if said.exposure is not None:
        sides = (arrays[f"exposure_{name}_synthetic"] for name in ("train", "validation"))
        tested = exposed_patients(next(sides), None, next(sides), None, fdr=0.1)
        changes |= {"patients_exposed": tested.n_flagged, "patients_fewest": tested.min_detectable}
        changes["patients_with_flagged_images"] = said.patients_exposed
        changes["patients_can_reject"] = tested.can_reject
    return protocols(said).conformal.model_copy(update=changes)


def write_audit_run(
    folder,
    shape=(12, 12),
    *,
    copied=0.0,
    sizes=(24, 30, 40),
    noticed=0.97,
    exposure=True,
    given=False,
    identical=0,
    policy=None,
    seed=0,
):
    """Write an audit as `memtk audit` leaves it; `copied` is the share of synthetic images that
    are copies, `sizes` training, validation and synthetic images, `given` one of embeddings."""
    rng, policy, n, m = np.random.default_rng(seed), policy or Policy(), sizes[0], sizes[-1]
    spec = ImageSpec(tuple(shape), 1, (1.0, 2.0, 3.0)[-len(shape) :])
    x = {s: smooth(rng, k, shape) for s, k in zip(SPLITS, sizes, strict=True)}
    count = round(copied * m)
    x["synthetic"][:count] = np.clip(
        x["training"][rng.permutation(n)[np.arange(count) % n]]
        + rng.normal(0, 0.05, x["synthetic"][:count].shape),
        -1,
        1,
    )
    folder.mkdir(parents=True)
    rows = Embeddings(*(x[s].reshape(len(x[s]), -1) for s in SPLITS))
    similarity = open_registry().load("similarity", "pearson")()
    said = judge(rows, rows if exposure else None, similarity=similarity)
    counts = {s: Counts(images=k, patients=k) for s, k in zip(SPLITS, sizes, strict=True)}
    test = make_selftest(noticed, exposure=exposure) if noticed is not None else None
    found_ = protocols(said).model_copy(
        update={"conformal": measured(said, 1.0 if noticed is None else noticed, n, m)}
    )
    audit = Audit(
        memtk_version="0.2.0",
        verdict=decide(policy, found_, test, counts, identical_images=identical),
        policy=policy,
        protocols=found_,
        selftest=test,
        identical_images=identical,
        counts=counts,
        similarity=used("pearson", "measures"),
        embedder=None if given else used("ntxent2d", "contrastive", weights="/home/x/net.pt"),
        embedder_saw=EmbedderSaw(
            copies="given" if given else "training",
            exposure="none" if not exposure else "given" if given else "synthetic",
        ),
        data=None
        if given
        else Data(
            fingerprint=FINGERPRINT,
            source="manifest",
            spec=Spec(shape=list(spec.shape), channels=1, spacing=list(spec.spacing)),
            recipe={"intensity": "percentiles 0.5 to 99.5", "pattern": r"(PAT-\d+)_.*"},
            counts=counts,
        ),
        seed=3,
        versions={"python": "3.11", "torch": "2.13.0"},
        device=Device(name="cpu", processes=1),
        timing={"searching": 75.0},
        notes=["Nothing said whose the images are."],
    )
    recipe = {
        "audit": {"embedder": None, "similarity": "pearson", "plants": 80, "exposure": exposure},
        "data": {
            "source": "/home/hospital/Doe_John_1957/train.csv",
            "validation_source": "/home/hospital/Doe_John_1957/val.csv",
            "synthetic_source": "/home/hospital/Doe_John_1957/made",
        },
        "settings": {"embedder": {"weights": "/home/hospital/Doe_John_1957/net.pt"}},
    }
    if given:
        recipe = {"audit": {"similarity": "pearson"}, "embeddings": ["ab" * 16, None]}
    else:
        write_data(folder, x, spec)
    write_arrays(folder / "arrays.h5", "audit", said.arrays)
    write_audit(folder / "audit.json", audit)
    write_run_file(folder, RunFile(recipe=recipe, cells=[], created="today"))
    (folder / "key").write_text("ab" * 32)
    return folder


SPLITS = ("training", "validation", "synthetic")


@pytest.fixture
def make_audit_run(tmp_path):
    """`make_audit_run(shape, copied=..., ...)`: see `write_audit_run`."""
    return lambda *shape, **asked: write_audit_run(tmp_path / "Doe_John_1957", *shape, **asked)


@pytest.fixture(scope="session")
def audited(tmp_path_factory):
    """The folder of an audit that fails, with its report, to be read only."""
    folder = write_audit_run(tmp_path_factory.mktemp("audits") / "Doe_John_1957", copied=0.4)
    build_audit_report(folder)
    return folder
