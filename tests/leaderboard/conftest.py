"""Made-up results for tables, by the numbers that matter."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import pytest

from memtk.leaderboard import collect
from memtk.results import Components, EmbedderTrainedOn, Specificity, Suite
from memtk.testing import fakes

TRUTH = {
    "copycat": {"rate": (1.0, 0.9, 1.0), "plugin": "toy", "copies": 20, "exposed": 20},
    "independent": {"rate": (0.0, 0.0, 0.2), "plugin": "toy"},
}
"""What rows of known truth say."""


def merge(tree, changes):
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(tree.get(key), dict):
            merge(tree[key], value)
        else:
            tree[key] = value
    return tree


ASKED = {
    "bench": {
        "generator": ["monai/monai2d"], "embedder": "ntxent2d", "similarity": "pearson",
        "mitigation": [], "quality": ["ms-ssim"], "preset": "smoke", "checkpoints": 2,
        "batch_size": 16, "seed": 0, "alpha": 0.05, "fdr": 0.1, "plants": 64, "exposure": "last",
    },
    "data": {"source": "phantom2d", "phantom": {"training": 20, "validation": 20, "size": 32}},
    "settings": {},
}  # fmt: skip
"""The recipe of the made-up results."""

EMBEDDER = {"width": 4, "training": {"steps": 20, "batch_size": 8}}
GENERATOR = {"channels": [8, 16], "diffusion": {"steps": 20, "clip_norm": 1.0}}


@pytest.fixture(scope="session")
def tree():
    """`tree("monai2d", rate=(0.1, 0.0, 0.2), seed=1, ...)`: a valid result as JSON reads it.

    Further: `plugin`, `config` of the generator, `copies`, `exposed`, `mitigations` (names),
    `quality`, `synthetic` (p, size, nearer: those that are no copies against strangers), and any
    other field of a result, laid over it.
    """

    def make(
        name="monai2d", *, rate=(0.1, 0.0, 0.2), plugin="monai", config=None, copies=0, exposed=0,
        mitigations=(), quality=None, synthetic=None, **changes,
    ):  # fmt: skip
        spared = Specificity(dar=fakes.rate(19, 20), conformal=fakes.rate(20, 20))
        interval = rate and dict(zip(("estimate", "low", "high"), rate, strict=True))
        made = fakes.result(
            (32, 32),
            **{"dar": 1, "copies": copies, "exposed": exposed, "n": 20, "m": 20, "validation": 20},
            **{"copy_rate": interval, "copy_rate_upper_bound": rate and rate[2]},
            confidence=0.95,
            cell="+".join([name, *mitigations]),
            suite=Suite(name="phantom2d", version="1"),
            request=ASKED,
            components=Components(
                generator=fakes.used(name, plugin, **(GENERATOR if config is None else config)),
                embedder=fakes.used("ntxent2d", "contrastive", **EMBEDDER),
                similarity=fakes.used("pearson", "measures"),
                mitigations=[fakes.used(m, "mitigations") for m in mitigations],
            ),
            embedder_trained_on=EmbedderTrainedOn(copies="training", exposure="synthetic"),
            selftest=fakes.selftest(10, 20, exposure=14, specificity=spared),
            timing={"training": 2.5},
        ).model_dump(mode="json")
        made["checkpoints"][0]["quality"] = quality or {}
        if synthetic is not None:
            test = dict(zip(("p", "size", "nearer"), synthetic, strict=True))
            made["checkpoints"][0]["evidence"]["comparable"] = {"synthetic": test}
        return merge(made, changes)

    return make


@pytest.fixture
def write(tmp_path, tree):
    """`write(("monai2d", {...}), ...)`: a folder of results; `truth=False` leaves controls out."""

    def make(*entries, truth=True, folder="results", **shared):
        both = [*TRUTH.items()] if truth else []
        for number, (name, said) in enumerate([*entries, *both]):
            path = tmp_path / folder / f"{number:02d}" / "result.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(merge(tree(name, **said), copy.deepcopy(shared))))
        return tmp_path / folder

    return make


@pytest.fixture
def proven(write):
    """`proven(...)`: likewise, taken in as if their arrays gave the copy rates that they state."""

    def make(*entries, **options):
        collection = collect(write(*entries, **options))
        runs = tuple(
            replace(run, unproven="", rate=run.result.last.evidence.copy_rate)
            for run in collection.runs
        )
        return replace(collection, runs=runs)

    return make


@pytest.fixture
def runs(proven):
    """`runs(...)`: likewise, the runs alone; every one of them is valid."""

    def make(*entries, **options):
        collection = proven(*entries, **options)
        assert not collection.refused
        return collection.runs

    return make
