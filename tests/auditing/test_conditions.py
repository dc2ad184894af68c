"""An audit of images that say what they were to be is reported by that."""

from __future__ import annotations

import csv
import io

import pytest
from rich.console import Console

from memtk.auditing import ReleaseOptions, release
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
    return audited(tmp_path_factory.mktemp("runs") / "told", data=data)


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
    assert plain.audit.by_condition == []
    assert plain.audit.evidence == done.audit.evidence
    assert plain.audit.verdict == done.audit.verdict


def test_terminal_and_page_show_a_row_for_each(done):
    shown = io.StringIO()
    Console(file=shown, width=100).print(audit_summary(done.audit))
    page = done.report.read_text(encoding="utf-8")
    assert all(
        f"view = {value}" in text for text in (shown.getvalue(), page) for value in ("AP", "PA")
    )
    assert "--condition view" in page and "By condition" in page
    assert "quality" not in shown.getvalue()


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
