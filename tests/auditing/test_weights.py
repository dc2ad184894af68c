"""Weights that were trained elsewhere: which they are, and what they have seen."""

from __future__ import annotations

import shutil

import pytest

from memtk.auditing import make_audit_plan, run_audit, run_selftest
from memtk.errors import UserError
from memtk.evaluation.detector import weights_in
from memtk.results import Policy

STEPS = {"embedder": {"training": {"steps": 1}}}
ASKED = {"preset": "smoke", "plants": 3}


@pytest.fixture(scope="module")
def data(files):
    return {"source": str(files / "manifest.csv"), "synthetic_source": str(files / "made")}


@pytest.fixture(scope="module")
def trained(data, registry, tmp_path_factory):
    """The run folder of an audit that trained its embedders."""
    folder = tmp_path_factory.mktemp("runs") / "trained"
    plan = make_audit_plan(registry, ASKED, data=data, settings=STEPS)
    return run_audit(plan, registry, policy=Policy(), out=folder, device="cpu").folder


@pytest.fixture
def audit(data, registry, tmp_path):
    def run(weights, folder="run", **options):
        asked = {**ASKED, "weights": str(weights), **options}
        plan = make_audit_plan(registry, asked, data=data, settings=STEPS)
        return run_audit(plan, registry, policy=Policy(), out=tmp_path / folder, device="cpu")

    return run


def test_weights_that_are_not_there_are_told_before_any_work(data, registry, tmp_path):
    with pytest.raises(UserError, match="no run folder with a trained embedder"):
        make_audit_plan(registry, ASKED | {"weights": str(tmp_path)}, data=data)
    assert weights_in(None) is None


def test_the_last_checkpoint_is_taken_by_its_step(tmp_path):
    folder = tmp_path / "embedder" / "training" / "checkpoints"
    folder.mkdir(parents=True)
    for step in ("999999", "1000000"):
        (folder / f"step-{step}.pt").touch()
    assert weights_in(str(tmp_path)).name == "step-1000000.pt"


def test_an_embedder_that_saw_the_training_images_may_not_judge_them(trained, audit):
    with pytest.raises(UserError, match="trained on 40 of these 40 training images.*--no-exposure"):
        audit(trained)
    with pytest.raises(UserError, match="these 30 synthetic images"):
        audit(next(trained.glob("exposure/training/checkpoints/*.pt")), "wrong")
    done = audit(trained, "copies", exposure=False)
    assert done.audit.evidence.patients_exposed is None


def test_a_self_test_may_use_weights_that_saw_the_training_images(
    trained, data, registry, tmp_path
):
    asked = ASKED | {"weights": str(trained), "exposure": False}
    real = {"source": data["source"]}
    plan = make_audit_plan(registry, asked, data=real, settings=STEPS)
    assert run_selftest(plan, registry, out=tmp_path / "run", device="cpu").selftest


def test_other_weights_in_a_file_of_the_same_name_make_another_run(trained, audit, tmp_path):
    file = tmp_path / "net.pt"
    shutil.copy(weights_in(str(trained)), file)
    first = audit(file)
    shutil.copy(next(trained.glob("exposure/training/checkpoints/*.pt")), file)
    with pytest.raises(UserError, match="holds another run: weights was"):
        audit(file)
    assert audit(file, "other").audit.protocols != first.audit.protocols


def test_weights_of_another_model_are_told_without_asking_to_delete_them(trained, data, registry):
    asked = ASKED | {"weights": str(trained), "exposure": False}
    wide = {"embedder": {"training": {"steps": 1}, "embedding": 5}}
    plan = make_audit_plan(registry, asked, data=data, settings=wide)
    out = trained.parent / "wide"
    with pytest.raises(UserError, match="(?s)does not fit.*leave --weights out") as told:
        run_audit(plan, registry, policy=Policy(), out=out, device="cpu")
    assert "delete" not in str(told.value)


def test_a_file_that_holds_no_weights_is_told_without_asking_to_delete_it(audit, tmp_path):
    (tmp_path / "thesis.docx").write_text("years of work")
    with pytest.raises(UserError, match=r"(?s)thesis\.docx.*leave --weights out") as told:
        audit(tmp_path / "thesis.docx")
    assert "delete" not in str(told.value)
