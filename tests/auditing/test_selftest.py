from __future__ import annotations

import csv

import pytest

from memtk.auditing import make_audit_plan, run_selftest
from memtk.errors import UserError
from memtk.results import SelfTest
from memtk.results.store import read_record


@pytest.fixture
def tested(files, registry):
    def run(folder, data=None, **options):
        data = data or {"source": str(files / "manifest.csv")}
        asked = {"similarity": "ncc", "plants": 15, **options}
        plan = make_audit_plan(registry, asked, data=data)
        return run_selftest(plan, registry, out=folder, device="cpu")

    return run


def test_it_needs_no_synthetic_image_and_finds_exact_copies(tested, tmp_path):
    done = tested(tmp_path / "run")
    exact = next(p.found for p in done.selftest.plants if p.kind == "exact")
    assert exact.conformal.count == exact.right_image.count == 15
    assert exact.exposure is None
    assert read_record(done.folder / "selftest.json", SelfTest) == done.selftest


def test_an_image_that_is_not_invariant_misses_mirrored_copies(tested, tmp_path):
    # pixel correlation cannot see that a mirrored image is a copy: the self-test must say so
    done = tested(tmp_path / "run")
    by_kind = {(p.kind, p.strength): p.found.conformal.rate for p in done.selftest.plants}
    assert by_kind["flip", 1.0] < 0.5 < by_kind["noise", 1.0]


def test_held_out_patients_are_the_strangers_where_there_are_any(files, tested, tmp_path):
    rows = [(f"{s}/{r:03d}.npy", f"{s}{r}", s) for s in ("train", "val") for r in range(40)]
    rows = [(p, who, "test" if s == "val" and int(who[3:]) < 15 else s) for p, who, s in rows]
    manifest = files / "held_out.csv"
    with open(manifest, "w", newline="") as file:
        csv.writer(file).writerows([("path", "patient_id", "split"), *rows])
    done = tested(tmp_path / "run", data={"source": str(manifest)})
    assert done.selftest.specificity_from == "held_out"
    assert done.selftest.specificity.conformal.n == 15


def test_a_single_validation_patient_is_no_yardstick(files, tested, tmp_path):
    manifest = files / "single.csv"
    rows = [(f"train/{r:03d}.npy", f"t{r}", "train") for r in range(10)]
    rows += [(f"val/{r:03d}.npy", "v", "val") for r in range(3)]
    with open(manifest, "w", newline="") as file:
        csv.writer(file).writerows([("path", "patient_id", "split"), *rows])
    with pytest.raises(UserError, match="one validation patient"):
        tested(tmp_path / "run", data={"source": str(manifest)})
