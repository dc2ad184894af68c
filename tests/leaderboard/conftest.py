"""Results for tables, made from a real one by the numbers that matter."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from memtk.leaderboard import collect
from memtk.results.migrations import migrate

REAL = Path(__file__).parents[1] / "results/result-schema-2.json"

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


@pytest.fixture(scope="session")
def tree():
    """`tree("monai2d", rate=(0.1, 0.0, 0.2), seed=1, ...)`: a valid result as JSON reads it.

    Further: `plugin`, `config` of the generator, `copies`, `exposed`, `mitigations` (names),
    `quality`, and any other field of a result, laid over that of the file.
    """
    real = migrate(json.loads(REAL.read_text()))

    def make(
        name="monai2d", *, rate=(0.1, 0.0, 0.2), plugin="monai", config=None, copies=0, exposed=0,
        mitigations=(), quality=None, **changes,
    ):  # fmt: skip
        made = copy.deepcopy(real)
        made["checkpoints"] = made["checkpoints"][-1:]
        last = made["checkpoints"][0]
        found, table = last["evidence"], last["protocols"]["conformal"]
        found["copy_rate"] = rate and dict(zip(("estimate", "low", "high"), rate, strict=True))
        found["copy_rate_upper_bound"] = rate and rate[2]
        found |= {"n_copies": copies, "n_mem": exposed, "patients_exposed": exposed}
        found["patients_with_flagged_images"] = exposed
        for keys, count in ((("n_copies", "copies"), copies), (("n_mem", "exposed"), exposed)):
            for key in keys:
                table[key] |= {"count": count, "value": count / 20}
        table["patients_exposed"] |= {"count": exposed, "value": exposed / 20}
        last["quality"] = quality or {}
        last["measure_info"] = {}
        used = made["components"]["generator"]
        used |= {"name": name, "plugin": plugin} | ({} if config is None else {"config": config})
        made["components"]["mitigations"] = [
            {**used, "name": m, "plugin": "mitigations", "config": {}} for m in mitigations
        ]
        made["cell"] = "+".join([name, *mitigations])
        made["timing"] = {"training": 2.5}
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
def runs(write):
    """`runs(...)`: likewise, taken in; every one of them is valid."""

    def make(*entries, **options):
        collection = collect(write(*entries, **options))
        assert not collection.refused
        return collection.runs

    return make
