from __future__ import annotations

import csv
import json

import pytest

from memtk.bench import run_bench
from memtk.errors import Stopped, UserError
from memtk.results import read_result
from memtk.results.study import cell_folder, failure_path, read_study
from memtk.study import StudyDisplay, make_study, run_study

EMBEDDED = ("embedder.training.steps=1", "bench.exposure=none")


class Seen(StudyDisplay):
    """Notes what it is told; stops the study when a stage of a task begins with `stop`."""

    def __init__(self, stop=None):
        self.stages, self.ends, self.inside, self._stop = [], [], [], stop

    def stage(self, kind, total, finished, width):
        self.stages.append((kind, total, finished))

    def inner(self, event):
        self.inside.append((event.kind, event.stage))
        if self._stop and event.stage.startswith(self._stop) and event.kind == "end":
            raise Stopped

    def ended(self, task, failure, seconds):
        self.ends.append((task.part, failure))


def shares(study):
    return {f.cell: f.result.last.protocols["dar"]["n_mem"].value for f in study.findings}


def test_a_study_finds_the_known_truth_in_every_cell(finished):
    found = shares(finished.study)
    assert found["copycat.rate-1"] == 1
    assert found["copycat.rate-0"] < found["copycat.rate-0.5"] < 1
    assert finished.report.exists() and not finished.study.missing


def test_the_table_has_a_row_for_every_checkpoint_of_every_cell(finished):
    rows = list(csv.DictReader((finished.study.folder / "study.csv").open()))
    assert [row["copycat.rate"] for row in rows] == ["0", "0.5", "1"]
    assert float(rows[2]["dar:n_mem"]) == 1
    assert float(rows[2]["dar:n_mem_null"]) == pytest.approx(0.05)


def test_a_cell_is_the_bench_of_its_settings_with_a_shared_detector(tmp_path, registry, base):
    plan = make_study(base(similarity="pearson", sets=EMBEDDED), ["copycat.rate=0.5,1"], registry)
    seen = Seen()
    study = run_study(plan, registry, out=tmp_path / "study", device="cpu", display=seen).study
    assert [kind for kind, _, _ in seen.stages] == ["images", "detector", "cell"]
    trained = [s for k, s in seen.inside if k == "end" and s.startswith("training the embedder")]
    read = [s for k, s in seen.inside if k == "end" and s.startswith("reading")]
    assert len(trained) == len(read) == 1
    alone = run_bench(plan.runs[0].plan, registry, out=tmp_path / "alone", device="cpu")
    assert study.findings[0].result.checkpoints == alone.results[0].checkpoints
    files = [
        p for c in plan.runs for p in (cell_folder(study.folder, c.name) / "data").glob("*.h5")
    ]
    assert len({p.stat().st_ino for p in files}) == 1


def test_cells_that_differ_in_guidance_alone_share_a_training(tmp_path, registry, base):
    few = ("generator.autoencoder.steps=2", "generator.diffusion.steps=2", "bench.exposure=none")
    common = base("monai2d", suite="phantom2d", sets=few, condition=("lesions",), checkpoints=1)
    plan = make_study(common, ["generator.guidance=1,2"], registry)
    seen = Seen()
    study = run_study(plan, registry, out=tmp_path / "study", device="cpu", display=seen).study
    ended = [s for k, s in seen.inside if k == "end" and s.startswith("training monai2d")]
    assert sorted(ended) == sorted(set(ended)) != []
    alone = run_bench(plan.runs[1].plan, registry, out=tmp_path / "alone", device="cpu")
    first, second = (finding.result.checkpoints for finding in study.findings)
    assert second == alone.results[0].checkpoints != first


def test_a_study_that_was_stopped_goes_on_with_the_same_numbers(tmp_path, registry, base, finished):
    plan = make_study(base(), ["copycat.rate=0,0.5,1"], registry)
    with pytest.raises(Stopped):
        display = Seen(stop="sampling copycat")
        run_study(plan, registry, out=tmp_path, device="cpu", display=display)
    assert len(read_study(tmp_path).missing) == 3
    seen = Seen()
    study = run_study(plan, registry, out=tmp_path, device="cpu", display=seen).study
    assert seen.stages == [("cell", 3, 0)]
    assert shares(study) == shares(finished.study)


def test_a_page_that_a_kill_kept_from_a_finished_cell_is_made(tmp_path, registry, base):
    plan = make_study(base(), ["copycat.rate=1", "seed=0"], registry)
    run_study(plan, registry, out=tmp_path, device="cpu")
    cell = cell_folder(tmp_path, "copycat.rate-1_seed-0")
    page, result = cell / "report.html", cell / "cells" / "copycat" / "result.json"
    said, before = page.read_bytes(), result.stat().st_mtime_ns
    page.unlink()
    run_study(plan, registry, out=tmp_path, device="cpu")
    assert page.read_bytes() == said and result.stat().st_mtime_ns == before


def test_a_study_is_extended_and_finished_cells_are_kept(tmp_path, registry, base):
    first = make_study(base(), ["copycat.rate=1", "seed=0"], registry)
    run_study(first, registry, out=tmp_path, device="cpu")
    path = cell_folder(tmp_path, "copycat.rate-1_seed-0") / "cells" / "copycat" / "result.json"
    before = path.stat().st_mtime_ns
    more = make_study(base(), ["copycat.rate=1", "seed=0,1"], registry)
    seen = Seen()
    study = run_study(more, registry, out=tmp_path, device="cpu", display=seen).study
    assert seen.stages == [("cell", 2, 1)] and len(study.findings) == 2
    assert path.stat().st_mtime_ns == before


def test_a_cell_that_fails_does_not_lose_the_others(tmp_path, registry, base):
    plan = make_study(base(), ["bench.samples=8,4", "mitigation.datasize.patients=9,4"], registry)
    seen = Seen()
    study = run_study(plan, registry, out=tmp_path, device="cpu", display=seen).study
    assert len(study.findings) == 2 and len(study.missing) == 2
    assert all("8 patients are in the training set" in text for text in study.failed.values())
    assert sum(failure is not None for _, failure in seen.ends) == 2
    assert "failed" in (tmp_path / "report.html").read_text()


def test_an_error_of_a_program_is_told_in_a_line_and_traced_in_a_file(
    tmp_path, registry, base, monkeypatch
):
    def broken(*arguments, **options):
        raise ValueError("no such\n luck")

    monkeypatch.setattr("memtk.study.tasks.run_bench", broken)
    plan = make_study(base(), ["seed=0"], registry)
    finished = run_study(plan, registry, out=tmp_path, device="cpu")
    assert finished.report is None
    assert finished.study.failed["seed-0"].startswith("ValueError: no such luck")
    assert "in broken" in (tmp_path / "logs" / "seed-0.trace.txt").read_text()


def test_images_that_cannot_be_read_end_the_study(tmp_path, registry, base):
    plan = make_study(base(sets=("data.source=/nowhere.csv",)), ["seed=0"], registry)
    with pytest.raises(UserError, match="nowhere.csv"):
        run_study(plan, registry, out=tmp_path, device="cpu")


def test_a_detector_that_cannot_be_trained_fails_its_cells_alone(tmp_path, registry, base):
    vary = ["similarity=pearson,ncc"]
    sets = ("embedder.training.batch_size=2", "embedder.training.accumulate=2", *EMBEDDED)
    plan = make_study(base(similarity=None, sets=sets), vary, registry)
    study = run_study(plan, registry, out=tmp_path, device="cpu").study
    assert list(study.failed) == ["similarity-pearson"]
    assert "accumulate" in study.failed["similarity-pearson"]
    assert [f.cell for f in study.findings] == ["similarity-ncc"]


def test_changed_settings_of_a_finished_cell_are_refused_by_that_cell(tmp_path, registry, base):
    run_study(make_study(base(), ["seed=0"], registry), registry, out=tmp_path, device="cpu")
    path = cell_folder(tmp_path, "seed-0") / "cells" / "copycat" / "result.json"
    result = read_result(path)
    path.unlink()
    plan = make_study(base(sets=("copycat.vary=flip",)), ["seed=0"], registry)
    study = run_study(plan, registry, out=tmp_path, device="cpu").study
    assert "holds another run" in study.failed["seed-0"]
    again = run_study(plan, registry, out=tmp_path, device="cpu", resume=False).study
    assert again.findings[0].result.components != result.components
    assert not failure_path(tmp_path, "seed-0").exists()


def test_a_launcher_of_several_processes_is_refused(tmp_path, registry, base, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="starts its cells itself"):
        run_study(make_study(base(), ["seed=0"], registry), registry, out=tmp_path)


def test_a_folder_of_something_else_is_left_alone(tmp_path, registry, base):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="is no study"):
        run_study(make_study(base(), ["seed=0"], registry), registry, out=tmp_path, resume=False)
    assert (tmp_path / "thesis.txt").exists()


def test_the_same_study_gets_the_same_folder_and_another_one_another(registry, base):
    first = make_study(base(), ["seed=0,1"], registry).default_folder()
    assert first == make_study(base(), ["seed=0,1"], registry).default_folder()
    assert first != make_study(base(), ["seed=0,2"], registry).default_folder()


def test_the_file_of_a_study_names_axes_and_cells(finished):
    content = json.loads((finished.study.folder / "study.json").read_text())
    assert content["axes"] == [{"key": "copycat.rate", "values": ["0", "0.5", "1"]}]
    assert [cell["name"] for cell in content["cells"]] == list(shares(finished.study))
