"""Weights in the format of the reference's own embedders, in audits and benches."""

from __future__ import annotations

import pytest
import torch

from memtk.auditing import make_audit_plan, run_audit, run_selftest
from memtk.bench import make_plan, read_recipe, run_bench
from memtk.config import build
from memtk.errors import UserError
from memtk.interfaces import ImageSpec
from memtk.results import Policy
from memtk.training.checkpoints import write_checkpoint
from memtk_contrastive.embedder import Contrastive2d
from memtk_contrastive.published import names_of

RESNET = {"network": "resnet50", "width": 2, "embedding": 6}
ASKED = {"preset": "smoke", "plants": 3, "exposure": True}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The same weights twice: as memtk keeps them, and by the reference's names."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    model = Contrastive2d(build(Contrastive2d.Config, RESNET), ImageSpec((24, 24)))
    write_checkpoint(model, folder / "ours.pt", 0)
    own, names = model.state_dict(), names_of(model, None)
    torch.save({theirs: own[ours] for ours, theirs in names.items()}, folder / "model_best")
    return folder


@pytest.fixture
def ask(files, registry):
    """`ask(options, **embedder)`: a plan for the phantoms of this folder."""

    def plan(asked=(), synthetic=True, **embedder):
        data = {"source": str(files / "manifest.csv")}
        data |= {"synthetic_source": str(files / "made")} if synthetic else {}
        settings = {"embedder": RESNET | embedder}
        return make_audit_plan(registry, ASKED | dict(asked), data=data, settings=settings)

    return plan


def test_they_are_taken_in_place_of_memtks_own_and_find_the_same(ask, registry, weights, tmp_path):
    found = [
        run_selftest(
            ask({"weights": str(weights / name)}, synthetic=False),
            registry,
            out=tmp_path / name,
            device="cpu",
        ).selftest
        for name in ("ours.pt", "model_best")
    ]
    assert found[0] == found[1]


def test_an_audit_takes_them_as_a_setting_and_trains_no_embedder(ask, registry, weights, tmp_path):
    plan = ask(weights=str(weights / "model_best"))
    done = run_audit(plan, registry, policy=Policy(), out=tmp_path / "run", device="cpu")
    assert (done.audit.embedder_trained_on.copies, done.audit.embedder_trained_on.exposure) == (
        "given",
        "given",
    )
    assert any("given, not trained here" in note for note in done.audit.notes)
    assert not (done.folder / "exposure").exists(), "a second embedder for the exposure"
    assert str(weights) not in done.report.read_text()


def test_weights_that_do_not_fit_are_told_with_the_preset_that_does(
    ask, registry, weights, tmp_path
):
    plan = ask({"weights": str(weights / "model_best")}, synthetic=False, embedding=7)
    with pytest.raises(UserError, match=r"(?s)--weights: .*expected \(7, .*paper-xray.*leave --w"):
        run_selftest(plan, registry, out=tmp_path / "run", device="cpu")


def test_a_bench_takes_them_as_a_setting_and_trains_no_embedder(registry, weights, tmp_path):
    sets = [f"embedder.{key}={value}" for key, value in RESNET.items()]
    sets += [f"embedder.weights={weights / 'model_best'}", "data.phantom.size=24"]
    sets += [f"data.phantom.{split}=12" for split in ("training", "validation", "held_out")]
    asked = {"generator": "copycat", "embedder": "ntxent2d", "preset": "smoke", "plants": 4}
    recipe = read_recipe(registry, asked, suite="phantom2d", sets=sets)
    run = run_bench(make_plan(recipe, registry), registry, out=tmp_path / "run", device="cpu")
    (result,) = run.results
    assert (result.embedder_trained_on.copies, result.embedder_trained_on.exposure) == (
        "given",
        "given",
    )
    assert result.training["embedder"] == {}
    assert not (run.folder / "cells" / "copycat" / "exposure").exists()
    assert (
        result.checkpoints[-1].protocols["dar"]["n_mem"].count > 0
    )  # it gives its training images back
