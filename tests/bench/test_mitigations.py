"""Mitigations side by side in one bench, with known truth from copycat."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
import torch

from memtk.bench import make_plan, read_recipe, run_bench
from memtk.data.images import StoredImages, open_images
from memtk.errors import UserError
from memtk.report.effects import effects_in_words
from memtk.results import read_arrays, read_result

COUNT = 24
COMPARED = (
    "copycat+release-filter",
    "copycat+distill",
    "monai2d+early-stop",
    "monai2d+smaller",
    "monai2d+augment+early-stop+release-filter",
)
SETS = (
    f"data.phantom.training={COUNT}",
    f"data.phantom.validation={COUNT}",
    "data.phantom.size=16",
    "copycat.rate=0.5",
    "bench.plants=0",
    "bench.exposure=none",
    "monai2d.channels=8,8",
    "monai2d.autoencoder.steps=2",
    "monai2d.adversarial.steps=0",
    "monai2d.diffusion.steps=4",
    "monai2d.sampling_steps=2",
    "embedder.training.steps=10",
)


def recipe(registry, sets=SETS, **options):
    asked = {
        "generator": ("monai2d", "copycat"),
        "embedder": "ntxent2d",
        "preset": "smoke",
        "checkpoints": 2,
        **options,
    }
    return read_recipe(registry, asked, suite="phantom2d", sets=sets)


@pytest.fixture(scope="module", autouse=True)
def no_pages():
    """No report is drawn: tests/report looks at those."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("memtk.bench.run.build_report", lambda folder, registry: folder)
        yield


@pytest.fixture(scope="module")
def side_by_side(registry, tmp_path_factory):
    plan = make_plan(recipe(registry, compare=COMPARED, quality=("ms-ssim",)), registry)
    folder = tmp_path_factory.mktemp("compared") / "run"
    return run_bench(plan, registry, out=folder, device="cpu")


@pytest.fixture(scope="module")
def cells(side_by_side):
    return {result.cell: result for result in side_by_side.results}


def text_of(result, mitigation):
    return " ".join(text for names, text in effects_in_words(result) if mitigation in names)


def copies():
    """Which of copycat's samples are copies at a rate of one half: every second one."""
    return np.array([(i + 1) // 2 > i // 2 for i in range(COUNT)])


def test_every_alternative_is_a_cell_beside_the_plain_one(cells):
    assert list(cells) == ["monai2d", *COMPARED[2:], "copycat", *COMPARED[:2]]
    for name, result in cells.items():
        assert [m.name for m in result.components.mitigations] == name.split("+")[1:]


def test_release_filter_drops_copycats_copies(side_by_side, cells):
    result = cells["copycat+release-filter"]
    arrays = read_arrays(side_by_side.folder / "cells/copycat/arrays.h5", "step-000000")
    assert arrays["copies_flagged"][copies()].all()
    kept = open_images(side_by_side.folder / "cells/copycat+release-filter/synthetic/chosen.h5")
    drawn = open_images(side_by_side.folder / "cells/copycat/synthetic/step-000000.h5")
    innocent = drawn.read(np.flatnonzero(~copies()).tolist()).flatten(1)
    for row in kept.read(range(len(kept))).flatten(1):
        assert (row == innocent).all(1).any()
    assert result.last is result.chosen and result.chosen.n_synthetic == len(kept)
    assert result.chosen.evidence.n_copies == 0


def test_what_is_left_is_judged_by_a_second_embedder(side_by_side, cells):
    folder = side_by_side.folder / "embedder"
    first, second = (
        torch.load(next(f.rglob("checkpoints/*.pt")), weights_only=True)["model"]
        for f in (folder / "training", folder / "second")
    )
    assert any(not torch.equal(first[name], second[name]) for name in first)
    assert "a second embedder" in text_of(cells["copycat+release-filter"], "release-filter")


def test_the_numbers_before_the_filter_stay_visible(cells):
    result = cells["copycat+release-filter"]
    before = cells["copycat"].checkpoints
    assert result.checkpoints == before and before[0].evidence.n_copies >= 12
    (effect,) = [e for e in result.mitigation_effects if e.kept is not None]
    assert effect.of == COUNT and effect.kept == result.chosen.n_synthetic
    said = text_of(result, "release-filter")
    assert said.startswith(f"{COUNT - effect.kept} of 24 synthetic images were held back. ")


def test_distills_second_training_set_holds_no_training_image(side_by_side, cells):
    path = next((side_by_side.folder / "cells/copycat+distill/training").rglob("step-*.pt"))
    learned = torch.load(path, weights_only=True)["model"]["images"].flatten(1)
    data = next((side_by_side.folder / "data").glob("*.h5"))
    training = StoredImages(data, "training").read(range(COUNT)).flatten(1)
    assert 0 < len(learned) <= COUNT // 2
    assert not any((row == training).all(1).any() for row in learned)
    assert "A first generator was trained" in text_of(cells["copycat+distill"], "distill")


def test_the_distilled_generator_is_judged_against_the_original_training_images(cells):
    result = cells["copycat+distill"]
    assert result.used_training.images == COUNT and result.chosen.n_synthetic == COUNT
    assert result.chosen.evidence.n_copies == 0
    assert cells["copycat"].last.evidence.n_copies >= 12
    assert result.training_stages == ["train: copycat+distill", "train: copycat"]


def test_early_stop_takes_a_checkpoint_and_judges_it_with_fresh_samples(side_by_side, cells):
    result = cells["monai2d+early-stop"]
    assert [c.step for c in result.checkpoints] == [2, 4] and result.chosen.step in (2, 4)
    assert result.checkpoints == cells["monai2d"].checkpoints
    folder = side_by_side.folder / "cells"
    fresh = open_images(folder / "monai2d+early-stop/synthetic/chosen.h5")
    old = open_images(folder / f"monai2d/synthetic/step-{result.chosen.step:06d}.h5")
    assert not torch.equal(fresh.read(range(COUNT)), old.read(range(COUNT)))
    assert f"step {result.chosen.step} was taken" in text_of(result, "early-stop")
    assert "fresh samples and a second embedder" in text_of(result, "early-stop")


def test_what_only_chooses_is_not_trained_again(side_by_side, cells):
    folders = sorted(p.parent.name for p in side_by_side.folder.glob("cells/*/training"))
    assert folders == [
        "copycat",
        "copycat+distill",
        "monai2d",
        "monai2d+augment+early-stop+release-filter",
        "monai2d+smaller",
    ]
    assert cells["monai2d+early-stop"].training_seconds == pytest.approx(
        cells["monai2d"].training_seconds, abs=1
    )


def test_the_arrays_of_all_that_was_judged_lie_with_each_cell(side_by_side, cells):
    for name, result in cells.items():
        with h5py.File(side_by_side.folder / "cells" / name / "arrays.h5") as file:
            for checkpoint in result.evaluated:
                found = file[checkpoint.label]
                assert len(found["synthetic_train"]) == checkpoint.n_synthetic
                assert found["copies_flagged"][:].sum() == checkpoint.evidence.n_copies


def test_a_smaller_generator_has_its_settings_told(cells):
    text = text_of(cells["monai2d+smaller"], "smaller")
    assert "channels 8, 8 became 4, 4" in text and "unet_channels 16 became 8" in text
    assert cells["monai2d+smaller"].components.generator.config["unet_channels"] == [8]
    assert cells["monai2d"].components.generator.config["unet_channels"] == [16]


def test_several_combine_and_each_says_what_it_did(cells):
    result = cells["monai2d+augment+early-stop+release-filter"]
    names = [effect.mitigation for effect in result.mitigation_effects]
    assert names == ["augment", "early-stop", "release-filter", "early-stop, release-filter"]
    assert result.chosen is not None or "Nothing is left" in text_of(result, "release")


def test_a_finished_comparison_is_read_and_a_lost_result_made_again(side_by_side, registry):
    plan = make_plan(recipe(registry, compare=COMPARED, quality=("ms-ssim",)), registry)
    lost = side_by_side.folder / "cells" / "copycat+release-filter" / "result.json"
    before = read_result(lost)
    lost.unlink()
    events = []
    again = run_bench(plan, registry, out=side_by_side.folder, device="cpu", watch=events.append)
    assert not [e for e in events if e.kind == "start" and e.stage.startswith("training")]
    found = {result.cell: result for result in again.results}[before.cell]
    ours, theirs = (json.loads(r.model_dump_json(exclude={"timing"})) for r in (found, before))
    assert ours == theirs


def test_images_that_are_all_flagged_leave_the_verdict_as_it_was(registry, tmp_path):
    asked = recipe(
        registry,
        (*SETS[:3], "copycat.rate=1.0", "bench.plants=0", "embedder.training.steps=4"),
        generator="copycat",
        mitigation=("release-filter",),
        exposure="none",
    )
    run = run_bench(make_plan(asked, registry), registry, out=tmp_path / "run", device="cpu")
    (result,) = run.results
    assert result.chosen is None and result.last.n_synthetic == COUNT
    assert result.mitigation_effects[-1].kept == 0
    assert "Nothing is left to release" in effects_in_words(result)[-1][1]


def test_near_copies_among_the_training_images_are_left_out_of_the_training(registry, tmp_path):
    import skimage.io

    rng = np.random.default_rng(0)
    pictures = [rng.integers(40, 200, (8, 8)).repeat(2, 0).repeat(2, 1) for _ in range(16)]
    pictures[2] = np.clip(pictures[5] + rng.integers(-4, 5, (16, 16)), 0, 255)
    lines = ["path,patient_id,split"]
    for i, picture in enumerate(pictures):
        skimage.io.imsave(tmp_path / f"{i}.png", picture.astype("u1"), check_contrast=False)
        lines.append(f"{i}.png,P{i},{'train' if i < 8 else 'val'}")
    (tmp_path / "m.csv").write_text("\n".join(lines))
    asked = {"generator": "copycat", "similarity": "ncc", "mitigation": ("deduplicate",)}
    asked |= {"preset": "smoke"}
    found = read_recipe(registry, asked, data=str(tmp_path / "m.csv"), sets=("bench.plants=0",))
    run = run_bench(make_plan(found, registry), registry, out=tmp_path / "run", device="cpu")
    (result,) = run.results
    assert result.used_training.images == 7
    with h5py.File(run.folder / "cells/copycat+deduplicate/arrays.h5") as file:
        assert file["training/index"][:].tolist() == [0, 1, 2, 3, 4, 6, 7]
    assert "1 of 8 training images was left out" in text_of(result, "deduplicate")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"compare": ("augment+augment",)}, "'augment' is asked for twice"),
        ({"compare": ("augment", "augment")}, r"cell 'monai2d\+augment' is asked for twice"),
        ({"compare": ("augment+",)}, r"--compare 'augment\+'.*augment\+release-filter"),
        ({"compare": ("monai2d",)}, "name a mitigation"),
        ({"compare": ("agument",)}, "unknown mitigation 'agument'.*Did you mean 'augment'"),
        ({"compare": ("early-stop",)}, r"monai2d\+early-stop.*--quality ms-ssim"),
        ({"compare": ("smaller",)}, r"copycat\+smaller: smaller: .*has no width"),
        (
            {"compare": ("release-filter",), "similarity": "ncc"},
            "judged by a second one.*--similarity pearson",
        ),
        ({"generator": "independent", "compare": ("distill",)}, "leave it out for independent"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_any_work(registry, options, message):
    with pytest.raises(UserError, match=message):
        make_plan(recipe(registry, (), **options), registry)


def test_a_dry_run_says_what_is_shared_and_what_is_added(registry):
    from rich.console import Console

    from memtk.bench import describe_plan

    plan = make_plan(
        recipe(registry, compare=(*COMPARED[:3], "deduplicate"), quality=("ms-ssim",)), registry
    )
    console = Console(width=160)
    with console.capture() as shown:
        console.print(describe_plan(plan, registry, device="cpu"))
    said = shown.get()
    assert "monai2d+early-stop: not trained again, but taken from monai2d" in said
    assert "copycat+distill: a first generator is trained too" in said
    assert "ntxent2d: a second one, for what is chosen by the first" in said
    assert "copycat+deduplicate: with fewer training images" in said
