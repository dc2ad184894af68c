"""Canaries in a bench: who is held back from what, and what is said of epsilon."""

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from memtk.bench import describe_plan, make_plan, read_recipe, run_bench
from memtk.bench.run import train_networks
from memtk.bench.subsets import canaries_of
from memtk.errors import UserError
from memtk.evaluation.membership import largest_epsilon
from memtk.report import build_report
from memtk.report.terminal import summary
from memtk.results import (
    Canaries,
    Privacy,
    contradiction,
    read_arrays,
    read_result,
    write_result,
)
from memtk.results.differences import compare
from memtk.results.measures import others

SETS = (
    "data.phantom.training=64",
    "data.phantom.validation=20",
    "data.phantom.held_out=64",
    "data.phantom.size=16",
    "bench.plants=0",
)


def recipe(registry, *sets, **options):
    asked = {
        "generator": ("copycat", "independent"),
        "preset": "smoke",
        "checkpoints": 1,
        "similarity": "ncc",
        "attack": ("gan-leaks",),
        "canaries": 64,
        **options,
    }
    return read_recipe(registry, asked, suite="phantom2d", sets=(*SETS, *sets))


def text_of(shown):
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(shown)
    return console.export_text()


@pytest.fixture(scope="module")
def plan(registry):
    return make_plan(recipe(registry, compare=("copycat+datasize",)), registry)


@pytest.fixture(scope="module")
def run(plan, registry, tmp_path_factory):
    return run_bench(plan, registry, out=tmp_path_factory.mktemp("canaries") / "run", device="cpu")


@pytest.fixture(scope="module")
def cells(run):
    return {result.cell: result for result in run.results}


@pytest.fixture
def dataset(plan, run, registry):
    from memtk.data.prepare import prepare

    return prepare(plan.data, run.folder / "data", registry)


def test_a_copycat_shows_a_large_epsilon_and_who_learns_from_nobody_none(cells):
    copies, nothing = (cells[n].membership["gan-leaks"].epsilon for n in ("copycat", "independent"))
    assert copies.low > 2 and all(g.right >= g.count - 1 for g in copies.tried)
    assert nothing.low == 0
    assert nothing.largest == copies.largest and copies.delta == 0


def test_held_back_patients_are_neither_training_nor_validation_images(run, cells, plan, dataset):
    canaries, result = canaries_of(plan, dataset), cells["copycat"]
    away = canaries.held_back
    arrays = run.folder / "cells" / "copycat" / "arrays.h5"
    used = dataset.split("training").subset(read_arrays(arrays, "training")["index"].tolist())
    assert not set(used.patients) & away
    assert result.used_training.patients == 64 - len(away) == sum(canaries.took_part)
    assert result.last.n_synthetic == len(used)
    for name, found in read_arrays(arrays, result.last.label).items():
        if "validation" not in name and name.endswith(("similarity", "nearest")):
            assert len(found) in (len(used), 20), name
    assert result.canaries == Canaries(
        patients=64, took_part=sum(canaries.took_part), held_back_images=len(away)
    )
    found = result.membership["gan-leaks"]
    assert (found.member_patients, found.non_member_patients) == (len(used), 20)


def test_no_network_learns_from_anybody_who_is_held_back(dataset, registry, monkeypatch):
    shown = []

    def record(context, part, images, folder, name):
        shown.append((name, set(images.patients)))

    for module in ("memtk.bench.run", "memtk.evaluation.quality"):
        monkeypatch.setattr(f"{module}.Detector", record)
    asked = {"similarity": "pearson", "embedder": "ntxent2d", "quality": ("fid",)}
    found = recipe(registry, "extractor.training.steps=3", extractor="ntxent2d", **asked)
    plan = make_plan(found, registry)
    context = SimpleNamespace(dataset=dataset, folder=Path("run"))
    train_networks(context, plan).second()
    left = set(dataset.split("training").patients) - canaries_of(plan, dataset).held_back
    assert len(left) < 64 and [patients for _, patients in shown] == [left] * 3
    assert [name.split(" ntxent2d")[0] for name, _ in shown] == [
        "the embedder", "the extractor", "the second embedder",
    ]  # fmt: skip


def test_the_bound_follows_from_the_arrays_that_are_kept(run, cells):
    scores = read_arrays(run.folder / "cells" / "copycat" / "arrays.h5", "attack gan-leaks")
    found = cells["copycat"].membership["gan-leaks"].epsilon
    order = np.argsort(-scores["canaries"])
    for tried in found.tried:
        half = tried.count // 2
        right = scores["canaries_took_part"][order[:half]].sum()
        right += (scores["canaries_took_part"][order[-half:]] == 0).sum()
        assert tried.right == right
    assert len(order) == 64 and scores["canaries_took_part"].sum() == found.took_part


def test_of_what_a_mitigation_chooses_by_patients_the_coins_hold_some_back(cells):
    left = cells["copycat+datasize"]
    assert 10 <= left.canaries.patients < 64
    assert left.used_training.patients == left.canaries.took_part
    assert left.membership["gan-leaks"].epsilon.patients == left.canaries.patients


def test_the_report_and_the_terminal_and_the_csv_show_the_bound(run, cells):
    page = run.report.read_text()
    for words in ("epsilon, at least", "a low bound proves nothing", "fair coin"):
        assert words in page
    text = text_of(summary(run.results))
    low = cells["copycat"].membership["gan-leaks"].epsilon.low
    assert f"≥ {low:.2f}" in text and "a low bound proves nothing" in text
    assert others(cells["copycat"], cells["copycat"].last)["gan-leaks, epsilon"] == (low, None)
    names = [line.name for line in compare(cells["copycat"], cells["copycat"])]
    assert "attack gan-leaks, epsilon" in names


def test_chance_of_the_members_found_is_that_of_its_threshold(run, cells):
    found = cells["independent"].membership["gan-leaks"]
    k = round(found.tpr_at_fpr.reached * 20)
    assert found.chance == found.tpr_at_fpr.chance.estimate == pytest.approx((k + 1) / 21)
    old = found.model_copy(
        update={"tpr_at_fpr": found.tpr_at_fpr.model_copy(update={"chance": None, "p": None})}
    )
    assert old.chance == pytest.approx(found.chance)
    assert f"{100 * found.chance:.1f}%" in text_of(summary(run.results))


def private(epsilon, unit="patient", most=1):
    return Privacy(
        epsilon=epsilon, delta=1e-3, unit=unit, units=64, most_images=most, noise_multiplier=1.0,
        max_grad_norm=1.0, steps=1, phases=[], accountant="rdp", opacus_version="1", secret=True,
    )  # fmt: skip


def test_a_bound_above_the_accountants_epsilon_is_said_loudly(run, cells, registry):
    copycat = cells["copycat"]
    low = copycat.membership["gan-leaks"].epsilon.low
    assert contradiction(copycat.membership, None) == ""
    assert contradiction(copycat.membership, private(low + 0.01)) == ""
    assert contradiction(copycat.membership, private(1.0, "image", 3)) == ""
    for claimed in (private(1.0), private(1.0, "image")):
        said = contradiction(copycat.membership, claimed)
        assert f"epsilon 1, and gan-leaks shows at least {low:.2f}" in said and "bug" in said
        assert "in at most 5 of 100 runs" in said
    two = {"a": copycat.membership["gan-leaks"], "b": copycat.membership["gan-leaks"]}
    assert "in at most 10 of 100 runs" in contradiction(two, private(1.0))
    broken = copycat.model_copy(update={"privacy": private(1.0)})
    assert "has a bug" in text_of(summary([broken]))
    path = run.folder / "cells" / "copycat" / "result.json"
    write_result(path, broken)
    try:
        page = build_report(run.folder, registry).read_text()
    finally:
        write_result(path, copycat)
    assert "has a bug" in page and "more than the accountant counted" in page
    assert read_result(path) == copycat


def test_a_dry_run_says_what_canaries_cost_and_could_show(plan, registry):
    shown = text_of(describe_plan(plan, registry, device="cpu"))
    assert "64 canaries: fair coins hold" in shown
    assert "epsilon of at least 2.53" in shown


def test_canaries_that_could_show_nothing_are_refused_before_anything_is_trained(registry):
    with pytest.raises(UserError, match="none is asked for"):
        make_plan(recipe(registry, attack=()), registry)
    for count in (5, 65):
        few = make_plan(recipe(registry, canaries=count), registry)
        with pytest.raises(UserError, match=f"{count} canaries: at least 10"):
            describe_plan(few, registry, device="cpu")
    few = recipe(registry, "datasize.patients=20", canaries=12, mitigation=("datasize",))
    with pytest.raises(UserError, match="say a larger --canaries"):
        describe_plan(make_plan(few, registry), registry, device="cpu")


def test_a_run_with_canaries_is_no_run_of_the_suite(registry):
    asked = {"generator": ("copycat",), "attack": ("gan-leaks",)}
    plain = read_recipe(registry, asked, suite="phantom2d")
    held = read_recipe(registry, {**asked, "canaries": 20}, suite="phantom2d")
    assert plain.suite is not None and held.suite is None
    assert "canaries hold some of its training patients back" in held.note


def test_a_private_training_is_bounded_at_the_accountants_delta(registry, tmp_path):
    pytest.importorskip("opacus", reason="dp-sgd needs opacus")
    sets = (
        "data.phantom.training=24",
        "monai2d.channels=8,8",
        "monai2d.autoencoder.steps=2",
        "monai2d.adversarial.steps=0",
        "monai2d.diffusion.steps=2",
        "monai2d.sampling_steps=2",
        "dp-sgd.noise_multiplier=2.0",
        "dp-sgd.reproducible=true",
    )
    asked = {"generator": ("monai2d",), "mitigation": ("dp-sgd",), "canaries": 20}
    asked["attack"] = ("gan-leaks", "denoising-loss")
    found = recipe(registry, *sets, **asked)
    run = run_bench(make_plan(found, registry), registry, out=tmp_path / "run", device="cpu")
    (result,) = run.results
    assert result.privacy.units == result.used_training.patients == 4 + result.canaries.took_part
    for attack in result.membership.values():
        assert attack.epsilon.delta == result.privacy.delta > 0
        assert attack.epsilon.low <= attack.epsilon.largest < largest_epsilon(20)
    assert contradiction(result.membership, result.privacy) == ""
    low = result.membership["gan-leaks"].epsilon.low
    assert f"≥ {low:.2f} [{result.privacy.epsilon:.3g}]" in text_of(summary(run.results))
    assert "accountant's" in run.report.read_text()
