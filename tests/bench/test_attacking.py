"""Attacks and private training in a bench, with known truth from the controls."""

import io

import numpy as np
import pytest
import torch

from memtk.bench import describe_plan, make_plan, read_recipe, run_bench
from memtk.bench.posthoc import Pool
from memtk.bench.record import privacy_of
from memtk.data.images import MemoryImages
from memtk.errors import PluginError, UserError
from memtk.memorization import auc, membership, scores_of
from memtk.report.effects import effects_in_words
from memtk.report.terminal import summary
from memtk.results import Membership, read_arrays, read_record, read_result

pytest.importorskip("opacus", reason="dp-sgd needs opacus")

SETS = (
    "data.phantom.training=24",
    "data.phantom.validation=24",
    "data.phantom.held_out=24",
    "data.phantom.size=16",
    "bench.plants=0",
    "monai2d.channels=8,8",
    "monai2d.autoencoder.steps=2",
    "monai2d.adversarial.steps=0",
    "monai2d.diffusion.steps=3",
    "monai2d.sampling_steps=2",
    "embedder.training.steps=4",
)
PRIVATE = ("dp-sgd.noise_multiplier=2.0", "dp-sgd.reproducible=true")


def recipe(registry, sets=(), **options):
    asked = {
        "generator": ("monai2d", "copycat", "independent"),
        "embedder": "ntxent2d",
        "preset": "smoke",
        "checkpoints": 1,
        "attack": ("gan-leaks", "denoising-loss"),
        **options,
    }
    used = [s for s in SETS if not s.startswith("monai2d") or "monai2d" in asked["generator"]]
    return read_recipe(registry, asked, suite="phantom2d", sets=(*used, *sets))


@pytest.fixture(scope="module")
def plan(registry):
    return make_plan(
        recipe(registry, PRIVATE, compare=("monai2d+dp-sgd", "independent+release-filter")),
        registry,
    )


@pytest.fixture(scope="module")
def run(plan, registry, tmp_path_factory):
    return run_bench(plan, registry, out=tmp_path_factory.mktemp("attacked") / "run", device="cpu")


@pytest.fixture(scope="module")
def cells(run):
    return {result.cell: result for result in run.results}


def test_of_a_copycat_every_member_is_found_and_of_strangers_none(cells):
    copies, nothing = (cells[n].membership["gan-leaks"] for n in ("copycat", "independent"))
    assert copies.auc.estimate > 0.99 and copies.tpr_at_fpr.rate.estimate > 0.9
    assert nothing.auc.low < 0.5 < nothing.auc.high
    assert "in the embedding of the exposure side" in copies.how


def test_what_a_generator_does_not_offer_is_said_and_not_measured(cells):
    found = cells["copycat"].membership["denoising-loss"]
    assert found.auc is None
    assert found.reason == "this generator offers no denoising_loss and no diffusion"
    assert cells["monai2d"].membership["denoising-loss"].auc is not None


def test_the_result_has_the_sizes_and_what_they_cannot_carry(cells):
    found = cells["monai2d"].membership["denoising-loss"]
    assert (found.member_images, found.member_patients) == (24, 24)
    assert (found.non_member_images, found.non_member_patients) == (24, 24)
    assert "not measurable with 24 non-member patients" in found.tpr_at_fpr.reason
    assert [used.name for used in cells["monai2d"].components.attacks] == [
        "gan-leaks",
        "denoising-loss",
    ]


def test_the_numbers_follow_from_the_arrays_that_are_kept(run, cells):
    scores = read_arrays(run.folder / "cells" / "monai2d" / "arrays.h5", "attack denoising-loss")
    found = cells["monai2d"].membership["denoising-loss"].auc
    again = auc(scores_of(scores["members"]), scores_of(scores["non_members"]))
    assert (found.estimate, found.low) == pytest.approx((again.estimate, again.low))
    assert sorted(scores["members_patient"]) == list(range(24))


def test_gan_leaks_is_the_exposure_side_image_by_image(run, cells):
    folder = run.folder / "cells" / "monai2d"
    exposed = read_arrays(folder / "arrays.h5", cells["monai2d"].last.label)
    scores = read_arrays(folder / "arrays.h5", "attack gan-leaks")
    names = [n for n, a in exposed.items() if np.allclose(a, scores["members"], atol=1e-5)]
    assert names, list(exposed)


def test_the_report_and_the_terminal_show_both(run):
    from rich.console import Console

    page = run.report.read_text()
    for words in ("Can it be told who was trained on?", "Differential privacy", "ROC curves"):
        assert words in page
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(summary(run.results))
    text = console.export_text()
    assert "membership attack" in text and "epsilon" in text and "1% is not measurable" in text


def test_what_a_mitigation_has_left_is_what_is_attacked(cells):
    found = cells["independent+release-filter"]
    assert found.chosen is not None and found.chosen.n_synthetic <= 24
    left = f"the nearest of {found.chosen.n_synthetic} synthetic images"
    assert left in found.membership["gan-leaks"].how
    assert found.membership["gan-leaks"].auc.low < 0.5


def test_a_finished_attack_is_not_run_again(plan, registry, run, monkeypatch):
    home = run.folder / "cells" / "monai2d"
    before = read_result(home / "result.json")
    (home / "result.json").unlink()
    monkeypatch.setattr("memtk.bench.posthoc.scorer", None)  # would be needed to run one
    run_bench(plan, registry, out=run.folder, device="cpu")
    assert read_result(home / "result.json").membership == before.membership
    kept = read_record(home / "attacked" / "gan-leaks.json", Membership)
    assert kept == before.membership["gan-leaks"]


def test_a_private_cell_has_its_epsilon_and_no_other_has_one(cells):
    privacy = cells["monai2d+dp-sgd"].privacy
    assert cells["monai2d"].privacy is None
    assert privacy.noise_multiplier == 2.0 and privacy.secret is False
    assert [(p.name, p.steps) for p in privacy.phases] == [("autoencoder", 2), ("diffusion", 3)]
    assert (privacy.unit, privacy.units, privacy.steps) == ("patient", 24, 5)
    from opacus.accountants import RDPAccountant

    counted = RDPAccountant()
    counted.history = [(2.0, p.sample_rate, p.steps) for p in privacy.phases]
    assert privacy.epsilon == pytest.approx(counted.get_epsilon(delta=privacy.delta))
    [(name, said)] = effects_in_words(cells["monai2d+dp-sgd"])
    assert name == "dp-sgd" and f"epsilon {privacy.epsilon:.3g}" in said


def test_nothing_private_asks_for_nothing():
    assert privacy_of(None) is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"generator": ("copycat",), "attack": ("secmi",)}, "offers diffusion; of copycat none"),
        ({"generator": ("copycat",), "attack": (), "mitigation": ("dp-sgd",)}, "takes no step"),
        (
            {"generator": ("monai2d",), "mitigation": ("dp-sgd", "deduplicate")},
            "deduplicate goes by the training images",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_trained(registry, options, said):
    with pytest.raises(UserError, match=said):
        describe_plan(make_plan(recipe(registry, **options), registry), registry, device="cpu")


@pytest.mark.parametrize(
    ("sets", "similarity", "said"),
    [
        (("gan-leaks.space=embedding",), "ncc", "say --set gan-leaks.space=image"),
        (("gan-leaks.calibrate=true", "data.phantom.held_out=0"), "pearson", "held-out patients"),
    ],
)
def test_an_attack_that_asks_in_vain_is_refused_before_anything_is_trained(
    registry, sets, similarity, said
):
    asked = {"generator": ("copycat",), "attack": ("gan-leaks",), "similarity": similarity}
    with pytest.raises(UserError, match=said):
        describe_plan(make_plan(recipe(registry, sets, **asked), registry), registry, device="cpu")
    fits = [s for s in sets if not s.startswith("gan-leaks")]
    describe_plan(make_plan(recipe(registry, fits, **asked), registry), registry, device="cpu")


def test_a_phase_against_a_discriminator_is_refused_with_the_setting_that_leaves_it_out(registry):
    asked = recipe(
        registry,
        ("monai2d.adversarial.steps=2",),
        generator=("monai2d",),
        mitigation=("dp-sgd",),
    )
    with pytest.raises(UserError, match=r"--set monai2d.adversarial.steps=0"):
        describe_plan(make_plan(asked, registry), registry, device="cpu")


def test_a_budget_that_cannot_be_kept_is_refused_before_anything_is_trained(registry):
    small = recipe(
        registry, ("dp-sgd.epsilon=1e-4",), generator=("monai2d",), mitigation=("dp-sgd",)
    )
    with pytest.raises(UserError, match="no noise brings epsilon down"):
        describe_plan(make_plan(small, registry), registry, device="cpu")


def test_an_unknown_attack_gets_a_suggestion(registry):
    with pytest.raises(UserError, match="gan-leaks"):
        make_plan(recipe(registry, attack=("ganleaks",)), registry)
    with pytest.raises(UserError, match="does not use"):
        recipe(registry, ("pia.time=0.1",))


def test_an_attack_that_scores_too_few_images_is_told(plan, registry, run, monkeypatch):
    from memtk_attacks.gan_leaks import GanLeaks

    home = run.folder / "cells" / "copycat"
    kept = {p: p.read_bytes() for p in (home / "result.json", home / "attacked/gan-leaks.json")}
    for path in kept:
        path.unlink()
    monkeypatch.setattr(GanLeaks, "score", lambda self, target, images: np.ones(3))
    says = r"score gives what does not fit: float64 \(3,\), not 48 numbers"
    with pytest.raises(PluginError, match=says):
        run_bench(plan, registry, out=run.folder, device="cpu")
    for path, content in kept.items():
        path.write_bytes(content)


def test_a_pool_reads_from_both_sets_in_any_order():
    a, b = (torch.arange(n, n + 4.0).reshape(4, 1, 1, 1).expand(4, 1, 2, 2) for n in (0, 10))
    pool = Pool(MemoryImages(a), MemoryImages(b))
    assert len(pool) == 8 and pool.spec.shape == (2, 2)
    assert pool.read([5, 0, 7, 3])[:, 0, 0, 0].tolist() == [11.0, 0.0, 13.0, 3.0]


def test_one_validation_patient_is_too_few_and_said_so():
    assert membership(np.arange(3.0), np.arange(2.0), None, ["a", "a"]).auc is None
