from __future__ import annotations

import io
import json

from rich.console import Console

from memtk.results.study import cell_folder
from memtk.study import describe_study, make_study
from memtk.study.tasks import seconds_left, spent


def shown(plan, registry, **options):
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(describe_study(plan, registry, device="cpu", **options))
    return console.export_text()


def test_a_dry_run_shows_the_grid_what_is_shared_and_the_first_cell(tmp_path, registry, base):
    common = base(similarity="pearson", sets=("embedder.training.steps=1",))
    plan = make_study(common, ["copycat.rate=0,1", "seed=0,1"], registry, equal_epochs=True)
    text = shown(plan, registry, out=tmp_path / "study", width=2)
    assert "4 cells, 0 finished" in text and "trained 2 times for 4 cells" in text
    assert "2 cells at a time" in text and "equal epochs" in text
    assert "time left: about" in text and "ntxent3d" in text
    assert not (tmp_path / "study").exists()


def test_a_dry_run_at_equal_epochs_shows_the_steps_that_the_first_cell_takes(registry, base):
    sets = ("data.phantom.size=16", "monai3d.diffusion.steps=44")
    plan = make_study(
        base("monai3d", sets=sets), ["mitigation.datasize=0.25,1"], registry, equal_epochs=True
    )
    lines = shown(plan, registry).splitlines()
    assert any("diffusion" in line and " 11 " in line for line in lines), lines


def test_the_time_of_all_trainings_is_told_before_anything_is_trained(
    tmp_path, registry, base, monkeypatch
):
    monkeypatch.setattr("memtk.evaluation.dry_run.step_seconds", lambda *_: 600.0)
    steps = ("embedder.training.steps=6", "data.phantom.size=16", "monai3d.diffusion.steps=12")
    steps += ("monai3d.autoencoder.steps=3", "monai3d.adversarial.steps=0")
    axes = ["mitigation.datasize=0.25,1", "seed=0,1"]

    def told(*more, axes=axes, similarity="pearson", **options):
        common = base("monai3d", similarity=similarity, sets=(*steps, *more))
        plan = make_study(common, axes, registry)
        return next(
            line for line in shown(plan, registry, out=tmp_path, **options).splitlines()
            if line.startswith("time left")
        )  # fmt: skip

    # ten minutes a step: 4 generators of 15 steps; 6 steps for each of 2 detectors and 4 others
    assert "about 16 h 0 min of training" in told()
    assert "about 8 h 0 min" in told(width=2)
    assert "about 12 h 0 min" in told("bench.exposure=none")
    assert "about 10 h 0 min" in told(similarity="ncc")
    others = ["data.percentiles=[[0,100],[1,99]]"]
    assert "not known before a cell is finished" in told(axes=others)
    monkeypatch.setattr("memtk.evaluation.dry_run.step_seconds", lambda *_: None)
    assert "not known before a cell is finished" in told()


def test_time_left_is_known_once_a_cell_is_finished(finished, tmp_path, registry, base):
    plan = make_study(base(), ["copycat.rate=0,0.5,1,0.25,0.75"], registry)
    folder = finished.study.folder
    text = shown(plan, registry, out=folder)
    assert "5 cells, 3 finished" in text and "by the mean of the 3 finished cells" in text
    cells = [cell.stored for cell in plan.runs]
    taken = [spent(cell_folder(folder, cell.name)) for cell in cells[:3]]
    assert abs(seconds_left(folder, cells) - 2 * sum(taken) / 3) < 1e-6
    assert seconds_left(folder, cells, 2) == seconds_left(folder, cells) / 2
    done = make_study(base(), ["copycat.rate=0,0.5,1"], registry)
    assert "nothing is left to do" in shown(done, registry, out=folder)


def test_times_that_cannot_be_read_are_not_known(tmp_path):
    assert spent(tmp_path) is None
    (tmp_path / "timing.json").write_text(json.dumps([1, 2]))
    assert spent(tmp_path) is None
