from __future__ import annotations

import csv
import shutil
import sys

import numpy as np
import pytest

from memtk.auditing import ReleaseOptions, release
from memtk.auditing.release import suspects
from memtk.errors import UserError
from memtk.results import Policy, read_arrays


@pytest.fixture(scope="module", autouse=True)
def quick():
    """The second audit with a small embedder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("memtk.auditing.plan.PRESETS", ("smoke",))
        yield


@pytest.fixture(scope="module")
def made(failed, registry, tmp_path_factory, quick):
    return release(
        failed.folder,
        registry,
        ReleaseOptions(embedder="ntxent2d", similarity="pearson"),
        out=tmp_path_factory.mktemp("release") / "out",
        device="cpu",
    )


def test_flagged_images_and_those_nearest_to_exposed_patients_are_taken_away(failed, truth):
    gone = suspects(failed.folder)
    assert gone[: truth["copies"]].all()
    arrays = read_arrays(failed.folder / "arrays.h5", "audit")
    exposed = arrays["exposure_flagged"].astype(bool)
    assert gone[arrays["exposure_train_synthetic_index"][exposed]].all()
    assert (suspects(failed.folder, "alpha") >= gone).all()


def test_the_manifest_names_what_is_left_and_reads_as_synthetic_images(made, files, truth):
    with open(made.manifest, newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == made.kept == 30 - made.dropped and made.dropped >= truth["copies"]
    for row in rows:
        path = (made.manifest.parent / row["path"]).resolve()
        assert path.parent == (files / "made").resolve()
        assert int(path.stem) >= truth["copies"]
        assert row["split"] == "synthetic"


def test_what_is_left_is_audited_by_a_second_embedder(made, failed):
    second = made.audit.audit
    assert second.counts["synthetic"].images == made.kept
    assert second.embedder.name == "ntxent2d" and failed.audit.embedder is None
    assert second.seed == failed.audit.seed + 1
    kept = [audit.policy.model_dump(exclude={"seed"}) for audit in (second, failed.audit)]
    assert kept[0] == kept[1]  # nobody asked for another
    assert second.identical_images == 0


def test_the_second_audit_has_the_policy_asked_for_but_for_its_seed(failed, registry, tmp_path):
    asked = Policy(max_copy_rate=0.4, seed=0, plants=9)
    options = ReleaseOptions(asked, similarity="euclidean")
    made = release(failed.folder, registry, options, out=tmp_path / "out", device="cpu")
    used = made.audit.audit.policy
    assert (used.max_copy_rate, used.plants, used.seed) == (0.4, 9, failed.audit.seed + 1)


def test_where_nothing_is_held_back_nothing_is_audited_again(clean, registry, tmp_path):
    from click.testing import CliRunner

    from memtk.cli import cli

    assert not suspects(clean.folder).any()
    made = release(clean.folder, registry, ReleaseOptions(), out=tmp_path / "out", device="cpu")
    assert (made.dropped, made.again, made.audit.folder) == (0, False, clean.folder)
    assert made.manifest.read_text().count("\n") == 1 + made.kept == 21
    assert not (tmp_path / "out" / "audit").exists()
    done = CliRunner().invoke(
        cli, ["release", str(clean.folder), "--out", str(tmp_path / "again"), "--device", "cpu"]
    )
    text = " ".join(done.output.split())
    assert "nothing is held back: the audit names no image" in text
    assert "No second audit is made" in text and "--second-similarity ncc" in text
    codes = {"pass": 0, "fail": 3, "inconclusive": 4}
    assert done.exit_code == codes[clean.audit.verdict.outcome]
    with pytest.raises(UserError, match=r"named no image.*give that audit the policy"):
        release(clean.folder, registry, ReleaseOptions(Policy()), out=tmp_path / "p")


def test_where_nothing_is_held_back_another_detector_may_look_all_the_same(
    clean, registry, tmp_path
):
    options = ReleaseOptions(similarity="euclidean")
    made = release(clean.folder, registry, options, out=tmp_path / "out", device="cpu")
    assert (made.dropped, made.again) == (0, True)
    assert made.audit.folder == tmp_path / "out" / "audit"
    assert made.audit.audit.counts["synthetic"].images == made.kept == 20


def test_an_audit_of_embeddings_cannot_be_released(registry, tmp_path):
    from memtk.auditing import EmbeddingAudit, audit_embeddings, read_embeddings

    rng = np.random.default_rng(0)
    np.savez(
        tmp_path / "v.npz",
        **{k: rng.normal(size=(9, 4)) for k in ("train", "validation", "synthetic")},
    )
    done = audit_embeddings(
        EmbeddingAudit(read_embeddings(tmp_path / "v.npz")),
        registry,
        policy=Policy(),
        out=tmp_path / "run",
        device="cpu",
    )
    with pytest.raises(UserError, match=r"audit of embeddings.*copies\.csv"):
        release(done.folder, registry, ReleaseOptions(Policy()))


def test_a_folder_without_an_audit_is_told(registry, tmp_path):
    with pytest.raises(UserError, match=r"no run folder: it has no run.json, as memtk bench"):
        release(tmp_path, registry, ReleaseOptions(Policy()))


def test_images_that_came_or_went_are_noticed(audited, files, registry, tmp_path):
    made = tmp_path / "made"
    shutil.copytree(files / "clean", made)
    data = {
        "source": str(files / "train"),
        "validation_source": str(files / "val"),
        "synthetic_source": str(made),
    }
    done = audited(tmp_path / "run", data=data)
    next(made.iterdir()).unlink()
    with pytest.raises(UserError, match="20 synthetic images, and there are 19 now"):
        release(done.folder, registry, ReleaseOptions(Policy(), similarity="pearson"))


def copied(files, folder):
    """Return sources whose synthetic images are a copy of the folder made."""
    shutil.copytree(files / "made", folder)
    return {
        "source": str(files / "train"),
        "validation_source": str(files / "val"),
        "synthetic_source": str(folder),
    }


def test_images_that_changed_places_are_noticed(audited, files, registry, tmp_path):
    data = copied(files, tmp_path / "made")
    done = audited(tmp_path / "run", data=data)
    first, last = tmp_path / "made" / "000.npy", tmp_path / "made" / "029.npy"
    first.rename(tmp_path / "x")  # a copy, that was flagged
    last.rename(first)
    (tmp_path / "x").rename(last)
    with pytest.raises(UserError, match="images have changed"):
        release(done.folder, registry, ReleaseOptions(Policy(), similarity="pearson"), device="cpu")
    assert not (done.folder / "release" / "release.csv").exists()


def test_images_identical_to_a_training_image_never_go_out(files, audited, tmp_path):
    # with so few validation patients nothing else can be flagged
    rows = [(f"train/{r:03d}.npy", f"t{r}", "train") for r in range(10)]
    rows += [(f"val/{r:03d}.npy", f"v{r}", "val") for r in range(4)]
    manifest = files / "four.csv"
    with open(manifest, "w", newline="") as file:
        csv.writer(file).writerows([("path", "patient_id", "split"), *rows])
    shutil.copytree(files / "clean", tmp_path / "made")
    shutil.copy(files / "train" / "003.npy", tmp_path / "made" / "999.npy")
    data = {"source": str(manifest), "synthetic_source": str(tmp_path / "made")}
    done = audited(tmp_path / "run", data=data)
    assert done.audit.evidence.n_copies == 1 and not done.audit.evidence.can_reject
    assert np.flatnonzero(suspects(done.folder)).tolist() == [20]


def test_the_score_that_chose_may_not_judge_what_is_left(failed, registry):
    for similarity in (None, "ncc"):
        with pytest.raises(UserError, match="compared the images themselves.*--second-embedder"):
            release(failed.folder, registry, ReleaseOptions(Policy(), similarity=similarity))


def test_a_list_is_not_written_beside_the_audit_of_another(failed, registry, tmp_path, monkeypatch):
    asked = {"options": ReleaseOptions(Policy(), embedder="ntxent2d")}
    asked |= {"out": tmp_path / "out", "device": "cpu"}
    made = release(failed.folder, registry, **asked)
    before = made.manifest.read_text()

    def fewer(*_):
        chosen = suspects(failed.folder)
        chosen[np.flatnonzero(~chosen)[0]] = True
        return chosen

    monkeypatch.setattr(sys.modules[suspects.__module__], "suspects", fewer)
    with pytest.raises(UserError, match="holds another release.*--no-resume"):
        release(failed.folder, registry, **asked)
    assert made.manifest.read_text() == before
    spoilt = (
        before.encode("utf-16"),
        b"\xff\xfe",
        before.replace("path", "\xe9").encode("latin-1"),
    )
    for written in spoilt:  # as a spreadsheet saves it
        made.manifest.write_bytes(written)
        with pytest.raises(UserError, match="holds another release.*--no-resume"):
            release(failed.folder, registry, **asked)
    (tmp_path / "out/key").write_bytes(b"\xff" * 8)
    again = release(failed.folder, registry, **asked, resume=False)
    assert again.kept == made.kept - 1 == again.audit.audit.counts["synthetic"].images


def test_what_a_set_embedder_chose_is_judged_by_the_images_themselves(audited, registry, tmp_path):
    own = ("embedder.training.steps=3",)
    first = audited(tmp_path / "run", similarity="pearson", preset="smoke", sets=own)
    assert first.audit.embedder.config["training"]["steps"] == 3
    done = release(first.folder, registry, ReleaseOptions(similarity="ncc"), device="cpu")
    assert done.audit.audit.embedder is None and done.audit.audit.screened == "another design"


def test_settings_of_an_embedder_that_is_not_used_are_refused_by_name(audited, tmp_path):
    with pytest.raises(UserError, match="compares the images themselves: leave out the settings"):
        audited(tmp_path / "run", sets=("embedder.training.steps=3",))


def test_the_folder_of_the_first_audit_is_not_written_over(failed, registry):
    with pytest.raises(UserError, match="the first audit is there"):
        release(
            failed.folder,
            registry,
            ReleaseOptions(Policy(), embedder="ntxent2d"),
            out=failed.folder,
        )
