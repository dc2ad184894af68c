"""An audit of files with known copies in them."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest

from memtk.auditing import make_audit_plan, run_audit
from memtk.data.images import MemoryImages, identical_images
from memtk.errors import UserError
from memtk.evaluation.context import open_run
from memtk.evaluation.detector import weights_in
from memtk.report import build_audit_report
from memtk.results import Policy, first_verdict, read_arrays, read_audit, read_run_file


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_planted_images_are_flagged_and_named_and_strangers_are_not(failed, truth):
    arrays = read_arrays(failed.folder / "arrays.h5", "audit")
    flagged = arrays["copies_flagged"].astype(bool)
    assert flagged[: truth["copies"]].all()
    assert flagged[truth["copies"] :].sum() <= 2
    named = arrays["synthetic_train_index"][: truth["copies"]]
    assert named.tolist() == list(range(truth["copies"]))


def test_copies_fail_the_audit_and_strangers_do_not(failed, clean):
    assert failed.audit.verdict.outcome == "fail"
    assert clean.audit.verdict.outcome in {"pass", "inconclusive"}
    assert clean.audit.evidence.n_copies == 0


def test_copies_and_strangers_resemble_the_data(failed, clean):
    for done in (failed, clean):
        compared = done.audit.evidence.comparable
        assert compared.likeness is not None and compared.unlike is None


def test_the_interval_of_the_copy_rate_holds_the_truth(failed, clean, truth):
    rate = failed.audit.evidence.copy_rate
    share = truth["copies"] / (truth["copies"] + truth["strangers"])
    assert rate.low <= share <= rate.high
    assert clean.audit.evidence.copy_rate.low == 0


def test_the_patients_of_the_copies_are_exposed(failed, truth):
    arrays = read_arrays(failed.folder / "arrays.h5", "audit")
    exposed = np.flatnonzero(arrays["exposure_flagged"])
    assert set(exposed.tolist()) >= set(range(truth["copies"]))
    assert failed.audit.evidence.patients_exposed == len(exposed)


def test_the_self_test_counts_every_kind_of_planted_copy(failed, truth):
    made = failed.audit.selftest
    kinds = {p.kind for p in made.plants}
    assert kinds == {"exact", "flip", "rotation", "contrast", "blur", "noise", "shift"}
    exact = next(p.found for p in made.plants if p.kind == "exact")
    assert exact.conformal.count == exact.conformal.n == truth["plants"]
    assert exact.right_image.count == exact.exposure.count == truth["plants"]
    assert made.specificity_from == "validation"


def test_the_lists_of_the_owner_name_the_files_the_most_suspicious_first(failed, truth):
    copies = rows(failed.folder / "copies.csv")
    assert {r["named"] for r in copies[: truth["copies"]]} <= {"sure", "suspect"}
    least = [int(r["at_least"]) for r in copies]
    assert least == sorted(least) and least[-1] == failed.audit.evidence.copies.at_least
    for row in copies[: truth["copies"]]:
        assert row["synthetic"].replace("made", "train") == row["nearest_training"]
    exposed = rows(failed.folder / "exposed.csv")
    assert len(exposed) == truth["patients"] and exposed[0]["named"] in ("sure", "suspect")
    assert {r["training"] for r in exposed} == {
        f"train/{i:03d}.npy" for i in range(truth["patients"])
    }


def test_names_in_the_lists_are_those_of_the_report(failed):
    page = failed.report.read_text()
    assert rows(failed.folder / "exposed.csv")[0]["report_name"] in page
    assert rows(failed.folder / "copies.csv")[0]["report_name"] in page


def test_no_file_and_no_patient_is_named_in_the_report_or_the_result(failed):
    for path in (failed.report, failed.folder / "audit.json"):
        text = path.read_text()
        assert not re.search(r"\d\.npy", text) and str(failed.folder.parent) not in text


def test_a_finished_audit_is_done_again_with_the_same_numbers(failed, audited, tmp_path):
    again = audited(tmp_path / "again")
    assert again.audit.protocols == failed.audit.protocols
    assert again.audit.selftest == failed.audit.selftest


def test_a_policy_changes_the_verdict_and_nothing_else(failed, audited):
    lenient = Policy(max_copy_rate=0.9, max_exposed_patients=0.9, min_sensitivity=0.1)
    other = audited(failed.folder, policy=lenient)
    assert other.audit.verdict.outcome != "fail"
    assert other.audit.protocols == failed.audit.protocols
    first = other.audit.first_verdict
    assert (first.outcome, first.policy) == ("fail", failed.audit.policy)
    page = other.report.read_text()
    assert "The policy was changed after the results were known (first verdict: fail)" in page
    assert "fixed beforehand" not in page.replace("threshold was fixed", "")
    assert audited(failed.folder).audit.first_verdict is None  # as it was


def test_the_first_verdict_outlives_an_audit_that_is_thrown_away(clean, tmp_path):
    folder, lenient = tmp_path / "run", Policy(max_copy_rate=0.9, min_sensitivity=0.1)
    shutil.copytree(clean.folder, folder)
    first = read_audit(folder / "audit.json")
    open_run(folder, read_run_file(folder).recipe, [], resume=False)
    assert not (folder / "audit.json").exists()
    said = first_verdict(folder / "audit.json", lenient)
    assert (said.outcome, said.policy) == (first.verdict.outcome, first.policy)
    assert first_verdict(folder / "audit.json", first.policy) is None
    open_run(folder, read_run_file(folder).recipe, [], resume=False)
    assert first_verdict(folder / "audit.json", lenient) == said, "thrown away once more"
    other = {**read_run_file(folder).recipe, "data": {"source": "others"}}
    open_run(folder, other, [], resume=False)
    assert first_verdict(folder / "audit.json", lenient) is None, "other images"


def test_other_settings_in_the_same_folder_are_refused(failed, audited):
    with pytest.raises(UserError, match="holds another run.*alpha"):
        audited(failed.folder, alpha=0.2)


def test_identical_images_are_counted_and_fail(files, audited, tmp_path):
    made = tmp_path / "made"
    made.mkdir()
    for row in range(4):
        np.save(made / f"{row}.npy", np.load(files / "train" / f"{row:03d}.npy"))
    data = {
        "source": str(files / "train"),
        "validation_source": str(files / "val"),
        "synthetic_source": str(made),
    }
    done = audited(tmp_path / "run", data=data)
    assert done.audit.identical_images == 4
    assert "identical" in done.audit.verdict.reasons[0]


def test_synthetic_images_that_are_validation_images_are_refused(files, audited, tmp_path):
    # they would be nearest to themselves, and no training image could be exposed beside them
    shutil.copytree(files / "clean", tmp_path / "made")
    shutil.copy(files / "val" / "003.npy", tmp_path / "made" / "999.npy")
    data = {
        "source": str(files / "train"),
        "validation_source": str(files / "val"),
        "synthetic_source": str(tmp_path / "made"),
    }
    with pytest.raises(UserError, match="1 of 21 synthetic images is identical to a validation"):
        audited(tmp_path / "run", data=data)


def test_identical_images_are_found_by_their_voxels():
    import torch

    x = torch.rand(4, 1, 5, 5)
    other = torch.cat([x[1:2], x[1:2] + 1e-6, x[3:]])
    assert identical_images(MemoryImages(x), MemoryImages(other)).sum() == 2


def test_a_manifest_brings_patients_with_several_images(files, audited, truth, tmp_path):
    data = {
        "source": str(files / "manifest.csv"),
        "synthetic_source": str(files / "made"),
    }
    done = audited(tmp_path / "run", data=data)
    assert done.audit.counts["training"].patients == 25
    found = done.audit.evidence
    assert found.min_p == pytest.approx(1 / 26)
    assert done.audit.selftest.sensitivity.conformal.n == truth["plants"]


def test_without_the_exposure_the_audit_says_so(audited, tmp_path):
    done = audited(tmp_path / "run", "clean", exposure=False)
    assert done.audit.evidence.patients_exposed is None
    assert done.audit.verdict.outcome == "inconclusive"
    assert not (done.folder / "exposed.csv").exists()


def test_without_plants_the_audit_says_that_nothing_corrects_the_rate(audited, tmp_path):
    done = audited(tmp_path / "run", "clean", plants=0)
    assert done.audit.selftest is None and done.audit.verdict.outcome == "inconclusive"
    assert any("not corrected" in note for note in done.audit.evidence.notes)


def test_each_side_is_compared_by_an_embedder_that_saw_the_other(files, registry, tmp_path):
    data = {
        "source": str(files / "manifest.csv"),
        "synthetic_source": str(files / "made"),
    }
    steps = {"embedder": {"training": {"steps": 2}}}
    plan = make_audit_plan(registry, {"preset": "smoke", "plants": 3}, data=data, settings=steps)
    done = run_audit(plan, registry, policy=Policy(), out=tmp_path / "run", device="cpu")
    saw = done.audit.embedder_trained_on
    assert (saw.copies, saw.exposure) == ("training", "synthetic")
    assert done.audit.embedder.name == "ntxent2d"
    assert weights_in(str(done.folder)).is_file()

    given = make_audit_plan(
        registry,
        {"preset": "smoke", "plants": 3, "weights": str(done.folder), "exposure": False},
        data=data,
        settings=steps,
    )
    other = run_audit(given, registry, policy=Policy(), out=tmp_path / "given", device="cpu")
    saw = other.audit.embedder_trained_on
    assert (saw.copies, saw.exposure) == ("given", "none")
    assert any("was given" in note for note in other.audit.notes)
    # the same weights give the same likeness of the copies
    one, two = (read_arrays(d.folder / "arrays.h5", "audit") for d in (done, other))
    assert np.array_equal(one["synthetic_train"], two["synthetic_train"])


def folders(root):
    names = {"source": "train", "validation_source": "val", "synthetic_source": "made"}
    return {key: str(root / name) for key, name in names.items()}


def test_an_audit_keeps_what_its_embedder_sees_and_finds_the_same_as_with_whole_images(
    files, registry, tmp_path
):
    steps = {"embedder": {"resolution": 12, "training": {"steps": 2}}}
    asked = {"preset": "smoke", "plants": 3}
    found, sizes = [], []
    for keep in (False, True):
        plan = make_audit_plan(registry, asked, data=folders(files), settings=steps)
        plan, out = replace(plan, keep_prepared=keep), tmp_path / f"{keep}"
        done = run_audit(plan, registry, policy=Policy(), out=out, device="cpu")
        (path,) = (out / "data").glob("*.h5")
        with h5py.File(path) as file:
            sizes.append(file["training/images"].shape[2:])
        found.append(read_arrays(out / "arrays.h5", "audit"))
        assert "data:image" in done.report.read_text()
    assert sizes == [(12, 12), (24, 24)]
    assert all(np.array_equal(found[1][name], array) for name, array in found[0].items())


def test_a_report_says_that_its_pictures_are_gone_and_names_no_file(files, registry, tmp_path):
    shutil.copytree(files, tmp_path / "files")
    steps = {"embedder": {"resolution": 12, "training": {"steps": 2}}}
    asked = {"preset": "smoke", "plants": 0, "exposure": False}
    plan = make_audit_plan(registry, asked, data=folders(tmp_path / "files"), settings=steps)
    done = run_audit(plan, registry, policy=Policy(), out=tmp_path / "run", device="cpu")
    shutil.rmtree(tmp_path / "files" / "train")
    page = build_audit_report(done.folder, registry).read_text()
    assert "are gone or have changed" in page and "train/" not in page


def test_the_result_file_reads_as_what_was_returned(failed):
    stored = read_audit(failed.folder / "audit.json")
    assert stored.model_copy(update={"timing": {}}) == failed.audit.model_copy(
        update={"timing": {}}
    )
    tree = json.loads((failed.folder / "audit.json").read_text())
    assert set(tree["evidence"]["copy_rate"]) == {"estimate", "low", "high"}
    assert set(tree["verdict"]) == {"outcome", "reasons"}
