from __future__ import annotations

import json
import re

import h5py
import numpy as np
import pytest

from memtk.bench.reproduce import plan_of
from memtk.errors import UserError
from memtk.results import read_result


def by_name(finished):
    return {result.cell: result for result in finished.results}


def test_every_cell_leaves_a_result_that_can_be_read_again(finished):
    for result in finished.results:
        assert read_result(finished.folder / "cells" / result.cell / "result.json") == result
        assert result.complete


def test_every_checkpoint_is_judged_and_the_last_has_both_sides(finished):
    checkpoints = by_name(finished)["monai3d"].checkpoints
    assert [c.step for c in checkpoints] == [2, 4]
    assert "exposed" not in checkpoints[0].protocols["conformal"]
    assert 0 <= checkpoints[1].protocols["conformal"]["exposed"].value <= 1
    assert all(c.n_synthetic == 20 for c in checkpoints)


def test_copycat_is_caught_by_every_protocol(finished):
    last = by_name(finished)["copycat"].checkpoints[-1]
    protocols, evidence = last.protocols, last.evidence
    assert protocols["dar"]["n_mem"].count == protocols["dar"]["n_copies"].count == 20
    assert protocols["dar-matched"]["n_mem"].count == pytest.approx(20)
    assert evidence.n_copies == evidence.n_mem == 20
    assert evidence.patients_exposed == 20


def test_independent_gives_back_patients_whom_nobody_trained_on(finished):
    last = by_name(finished)["independent"].checkpoints[-1]
    protocols, evidence = last.protocols, last.evidence
    assert protocols["dar"]["n_mem"].value < 0.5 and evidence.n_copies < 10


def test_a_model_trained_for_four_steps_is_unlike_the_data_and_the_controls_are_not(finished):
    compared = {r.components.generator.name: r.last.evidence.comparable for r in finished.results}
    assert all(each.likeness is not None for each in compared.values())
    assert [name for name, each in compared.items() if each.unlike] == ["monai3d"]


def test_the_result_says_what_each_embedder_saw(finished):
    saw = by_name(finished)["monai3d"].embedder_trained_on
    assert (saw.copies, saw.exposure) == ("training", "synthetic")


def test_the_raw_arrays_are_kept_so_that_a_new_measure_needs_no_new_run(finished):
    with h5py.File(finished.folder / "cells/copycat/arrays.h5") as file:
        step = file["step-000000"]
        assert np.array_equal(step["train_synthetic_index"], np.arange(20))
        assert np.array_equal(file["training/index"], np.arange(20))


def test_the_autoencoder_is_measured_on_both_sides(finished):
    measured = by_name(finished)["monai3d"].reconstruction
    assert 0 < measured.validation_psnr < 60 and 0 < measured.training_psnr < 60
    assert by_name(finished)["copycat"].reconstruction is None


def test_result_and_report_name_no_path_of_the_run(finished):
    for path in [finished.report, *finished.folder.glob("cells/*/result.json")]:
        assert str(finished.folder.parent) not in path.read_text()


def test_a_finished_run_is_not_run_again(finished, run_small):
    before = {p: p.stat().st_mtime_ns for p in finished.folder.glob("cells/**/*.h5")}
    events = []
    again = run_small(finished.folder, ("monai3d", "copycat", "independent"), watch=events.append)
    assert [e.stage for e in events if e.kind == "start"] == []
    assert again.results == finished.results
    assert before == {p: p.stat().st_mtime_ns for p in finished.folder.glob("cells/**/*.h5")}


def test_a_run_that_broke_off_ends_with_the_numbers_of_one_that_did_not(
    finished, tmp_path, run_small
):
    class Broken(Exception):
        pass

    seen = []

    def until(stop):
        def watch(event):
            seen.append(event)
            if len(seen) >= stop:
                raise Broken

        return watch

    generators = ("monai3d", "copycat", "independent")
    for stop in (9, 17, 26, 40, 55, 80):
        seen.clear()
        try:
            run_small(tmp_path / "run", generators, watch=until(stop))
        except Broken:
            continue
    run = run_small(tmp_path / "run", generators)
    for result, straight in zip(run.results, finished.results, strict=True):
        ours, theirs = (
            json.loads(r.model_dump_json(exclude={"timing"})) for r in (result, straight)
        )
        assert ours == theirs


def test_images_themselves_can_be_compared_without_an_embedder(tmp_path, run_small):
    run = run_small(tmp_path / "run", ("copycat",), similarity="ncc")
    result = run.results[0]
    assert result.components.embedder is None and result.embedder_trained_on is None
    assert result.checkpoints[0].protocols["dar"]["n_mem"].count == 20
    assert result.checkpoints[0].evidence.n_mem == 20


def test_mitigations_are_named_in_the_cell_and_choose_its_training_patients(tmp_path, run_small):
    run = run_small(
        tmp_path / "run",
        ("copycat",),
        sets=("datasize.fraction=0.5",),
        mitigation=("datasize",),
        similarity="ncc",
    )
    result = run.results[0]
    assert result.cell == "copycat+datasize"
    assert result.used_training.images == 10 and result.data.counts["training"].images == 20
    assert result.checkpoints[0].n_synthetic == 10
    assert result.checkpoints[0].protocols["dar"]["n_mem"].count == 10


def test_augmentation_changes_what_is_learned(finished, tmp_path, run_small):
    run = run_small(tmp_path / "run", ("monai3d",), mitigation=("augment",))
    ours, plain = run.results[0], by_name(finished)["monai3d"]
    assert ours.components.mitigations[0].name == "augment"
    assert ours.training["generator"] != plain.training["generator"]


def test_more_fresh_images_than_patients_held_back_are_refused(tmp_path, run_small):
    with pytest.raises(UserError, match="held"):
        run_small(tmp_path / "run", ("independent",), samples=21, similarity="ncc")


def test_the_control_needs_patients_held_back(tmp_path, run_small):
    with pytest.raises(UserError, match="data.phantom.held_out"):
        run_small(
            tmp_path / "run", ("independent",), sets=("data.phantom.held_out=0",), similarity="ncc"
        )


def test_synthetic_images_that_a_mitigation_holds_back_are_neither_judged_nor_kept(
    tmp_path, run_small, monkeypatch
):
    from memtk_mitigations.training_set import DataSize

    monkeypatch.setattr(DataSize, "release", lambda self, synthetic: np.arange(3, 8))
    run = run_small(tmp_path / "run", ("copycat",), mitigation=("datasize",), similarity="ncc",
                    sets=("datasize.fraction=1.0",))  # fmt: skip
    assert run.results[0].checkpoints[0].n_synthetic == 5
    with h5py.File(run.folder / "cells/copycat+datasize/arrays.h5") as file:
        assert file["step-000000/synthetic_train_index"][:].tolist() == [3, 4, 5, 6, 7]


def test_quality_metrics_stand_beside_the_numbers(tmp_path, run_small):
    run = run_small(tmp_path / "run", ("copycat",), similarity="ncc", quality=("ms-ssim",))
    quality = run.results[0].checkpoints[0].quality
    assert set(quality) == {"ms-ssim"} and 0 < quality["ms-ssim"] < 1


def test_a_control_that_cannot_be_fed_is_refused_before_anything_is_trained(tmp_path, run_small):
    events = []
    with pytest.raises(UserError, match="none are held back") as refused:
        run_small(
            tmp_path / "run",
            ("copycat", "independent"),
            sets=("data.phantom.held_out=0",),
            watch=events.append,
        )
    assert not [e for e in events if e.stage.startswith("training")]
    assert ways(refused) == ["data.phantom.held_out=20"]


def ways(refused):
    return re.findall(r"--set ([a-z_.]+=[\w.]*\w)", str(refused.value))


@pytest.fixture
def own(tmp_path):
    """A manifest of twenty patients with three images each, none of them held out."""
    import skimage.io

    rng, rows = np.random.default_rng(0), ["path,patient_id,split"]
    for patient in range(20):
        for image in range(3):
            name = f"p{patient:02}_{image}.png"
            skimage.io.imsave(tmp_path / name, rng.integers(0, 255, (16, 16), np.uint8))
            rows.append(f"{name},p{patient:02},{'train' if patient < 12 else 'val'}")
    (tmp_path / "own.csv").write_text("\n".join(rows))
    return tmp_path / "own.csv"


def test_what_a_refused_control_says_on_ones_own_images_is_the_whole_way(tmp_path, own, run_small):
    def tried(*sets, **options):
        return run_small(tmp_path / "run", ("independent",), sets=sets, data=str(own),
                         similarity="ncc", **options)  # fmt: skip

    with pytest.raises(UserError, match="each of 36 samples, and none are held back") as refused:
        tried()
    with pytest.raises(
        UserError, match=r"and 12 are held back.\nTo run it, say --samples 12, or"
    ) as few:
        tried("data.resplit=true", "data.held_out=0.2")
    assert ways(refused) == ways(few) == ["data.resplit=true", "data.held_out=0.45"]
    (result,) = tried(*ways(refused)).results
    assert result.last.n_synthetic == result.used_training.images


def test_arrays_that_were_lost_are_made_again(tmp_path, run_small):
    run = run_small(tmp_path / "run", ("copycat",), similarity="ncc")
    (run.folder / "cells/copycat/result.json").unlink()
    (run.folder / "cells/copycat/arrays.h5").unlink()
    again = run_small(tmp_path / "run", ("copycat",), similarity="ncc")
    assert again.results[0].checkpoints == run.results[0].checkpoints


def test_images_that_changed_since_the_run_began_are_refused(tmp_path, run_small):
    import skimage.io

    rng = np.random.default_rng(0)
    lines = ["path,patient_id,split"]
    for i in range(8):
        skimage.io.imsave(tmp_path / f"{i}.png", rng.integers(0, 255, (16, 16)).astype("u1"))
        lines.append(f"{i}.png,P{i},{'train' if i < 4 else 'val'}")
    (tmp_path / "m.csv").write_text("\n".join(lines))
    own = {"similarity": "ncc", "data": str(tmp_path / "m.csv")}
    run = run_small(tmp_path / "run", ("copycat",), **own)
    assert run.results[0].suite is None and run.results[0].data.source == "manifest"
    skimage.io.imsave(tmp_path / "0.png", rng.integers(0, 255, (16, 16)).astype("u1"))
    with pytest.raises(UserError, match="the images have changed since"):
        run_small(tmp_path / "run", ("copycat",), **own)


def test_planted_copies_of_all_kinds_share_one_progress_bar(run_small, tmp_path):
    events = []
    run_small(tmp_path / "run", ("copycat",), watch=events.append)
    planted = [e for e in events if e.stage.endswith("planted copies")]
    assert {e.kind for e in planted} == {"start", "step", "end"}
    assert [e.step for e in planted if e.kind == "step"][-1] == planted[-1].total > 10
    assert not [e for e in events if "planted copies:" in e.stage]
    told = {e.stage for e in events}  # in words: no name of the program's own
    assert "embedding real images: held out" in told and not [s for s in told if "_" in s]


def test_a_trained_cell_of_a_bench_of_three_is_planned_as_it_was(finished, registry):
    stored = finished.results[0]
    plan = plan_of(stored, registry)
    [(cell, part)] = plan.generators.items()
    assert cell == stored.cell == "monai3d"
    assert part.config.model_dump(mode="json") == stored.components.generator.config
    assert plan.embedder.config.model_dump(mode="json") == stored.components.embedder.config
    assert plan.recipe.suite.name == stored.suite.name and plan.recipe.bench.checkpoints == 2
