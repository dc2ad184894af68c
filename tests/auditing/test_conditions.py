"""An audit of images that say what they were to be is reported by that."""

from __future__ import annotations

import csv
import io
import re

import pytest
from rich.console import Console

from memtk.auditing import ReleaseOptions, make_audit_plan, release, run_audit
from memtk.errors import UserError
from memtk.report.terminal import audit_summary
from memtk.results import Policy


@pytest.fixture(scope="module")
def told(files, tmp_path_factory, truth):
    """`told(says)`: sources with a column view; of synthetic image i it says `says(i)`."""
    folder = tmp_path_factory.mktemp("told")

    def write(name, lines):
        path = folder / f"{name}.csv"
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([["path", "patient_id", "split", "view"], *lines])
        return path

    real = write(
        "real",
        [
            [files / split / f"{row:03d}.npy", f"{split}-{row}", split, ("AP", "PA")[row % 2]]
            for split in ("train", "val")
            for row in range(truth["patients"])
        ],
    )

    def sources(says):
        made = [
            [files / "made" / f"{row:03d}.npy", "", "synthetic", says(row)]
            for row in range(truth["copies"] + truth["strangers"])
        ]
        number = len(list(folder.iterdir()))
        data = {"source": str(real), "synthetic_source": str(write(f"made{number}", made))}
        return data | {"condition": ["view"]}

    return sources


@pytest.fixture(scope="module")
def done(audited, told, truth, tmp_path_factory):
    """An audit in which all copies were to be PA, and all others AP."""
    data = told(lambda row: "PA" if row < truth["copies"] else "AP")
    return audited(tmp_path_factory.mktemp("runs") / "told", data=data, quality=("ms-ssim",))


def test_each_condition_has_its_own_copy_rate_and_patients(done, truth):
    by = {found.value: found for found in done.audit.by_condition}
    assert {value: found.n_synthetic for value, found in by.items()} == {
        "AP": truth["strangers"],
        "PA": truth["copies"],
    }
    assert by["PA"].copy_rate.low > 0.5 > by["AP"].copy_rate.estimate
    assert by["AP"].copy_rate.low == 0
    assert all(found.within and found.validation_patients == 20 for found in by.values())
    assert all(found.exposed.of == found.training_patients == 20 for found in by.values())


def test_what_is_found_in_all_images_does_not_depend_on_it(done, audited, told, tmp_path):
    data = told(lambda row: "AP")
    del data["condition"]
    plain = audited(tmp_path / "plain", data=data)
    assert plain.audit.by_condition == [] and plain.audit.quality == {}
    assert plain.audit.evidence == done.audit.evidence
    assert plain.audit.verdict == done.audit.verdict


def test_terminal_and_page_show_a_row_for_each(done):
    shown = io.StringIO()
    Console(file=shown, width=100).print(audit_summary(done.audit))
    page = re.sub("</?span[^>]*>", "", done.report.read_text(encoding="utf-8"))
    assert all(
        f"view = {value}" in text for text in (shown.getvalue(), page) for value in ("AP", "PA")
    )
    assert "--condition view" in page and "By condition" in page
    assert "--quality ms-ssim" in page and "Quality and diversity" in page
    few = "No quality, which takes 20 samples and 20 validation images: view = PA."
    assert all(few in " ".join(text.split()) for text in (shown.getvalue(), page))


def test_quality_has_an_interval_where_a_condition_has_images_enough(done, truth):
    by = {found.value: found.quality for found in done.audit.by_condition}
    assert truth["copies"] < 20 <= truth["strangers"] and by["PA"] == {}
    found, whole = by["AP"]["ms-ssim"], done.audit.quality["ms-ssim"]
    assert 0 < found.low < found.estimate < found.high < 1
    assert found.estimate != whole and 0 < done.audit.measure_info["ms-ssim"].real < 1


def test_measures_of_features_take_the_copy_detector(registry, told, tmp_path):
    data, fid = told(lambda row: "AP"), {"quality": ("fid",)}
    with pytest.raises(UserError, match=r"'fid' compares features, and similarity 'ncc' .*: leave"):
        make_audit_plan(registry, {"similarity": "ncc", **fid}, data=data)
    sets = ["embedder.training.steps=2", "fid.against=training"]
    plan = make_audit_plan(registry, {"preset": "smoke", **fid}, data=data, sets=sets)
    audit = run_audit(plan, registry, policy=Policy(), out=tmp_path / "fid", device="cpu").audit
    (name,) = audit.quality
    assert name == "fid.training[ntxent2d]" and audit.metrics[0].config == {"against": "training"}
    (found,) = (each.quality[name] for each in audit.by_condition if each.n_synthetic)
    assert found.estimate == pytest.approx(audit.quality[name])


def test_images_that_do_not_say_it_are_refused(audited, told, tmp_path):
    with pytest.raises(UserError, match=r"--condition view: the synthetic images do not say what"):
        audited(tmp_path / "none", data=told(lambda row: ""))
    with pytest.raises(
        UserError, match=r"1 of 30 synthetic images have no value there: .*003\.npy"
    ):
        audited(tmp_path / "some", data=told(lambda row: "" if row == 3 else "AP"))
    with pytest.raises(UserError, match=r"000\.npy: view = 'LL': the real images have AP, PA"):
        audited(tmp_path / "other", data=told(lambda row: "LL"))


def test_what_is_left_of_them_is_audited_without(done, registry, tmp_path, monkeypatch):
    monkeypatch.setattr("memtk.auditing.plan.PRESETS", ("smoke",))
    options = ReleaseOptions(Policy(), embedder="ntxent2d", similarity="pearson")
    left = release(done.folder, registry, options, out=tmp_path / "release", device="cpu")
    assert left.audit.audit.by_condition == []
