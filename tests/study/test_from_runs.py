from __future__ import annotations

import shutil

import pytest

from memtk.errors import UserError
from memtk.results import RunFile, write_run_file
from memtk.results.study import cell_folder
from memtk.study import make_study, run_study, study_of_runs, study_runs


def folders(finished):
    return [cell_folder(finished.study.folder, c.name) for c in finished.study.file.cells]


def test_runs_that_are_there_are_shown_together(finished, tmp_path):
    made = study_runs(study_of_runs(folders(finished)), out=tmp_path / "given")
    assert len(made.study.findings) == 3 and made.report.exists()
    assert "longer training" in made.report.read_text()
    assert str(finished.study.folder) not in made.report.read_text()


def test_a_study_stands_for_all_its_cells(finished):
    assert study_of_runs([finished.study.folder]).runs == list(map(str, folders(finished)))


def test_runs_of_other_images_cannot_stand_together(finished, tmp_path, registry, base):
    plan = make_study(base(sets=("data.phantom.seed=5",)), ["seed=0"], registry)
    other = run_study(plan, registry, out=tmp_path, device="cpu")
    with pytest.raises(UserError, match="of different images"):
        study_of_runs([folders(finished)[0], *folders(other)])


def test_a_run_that_is_not_finished_or_given_twice_is_refused(finished, tmp_path):
    write_run_file(tmp_path, RunFile(recipe={}, cells=["monai3d"]))
    with pytest.raises(UserError, match="is not finished"):
        study_of_runs([tmp_path])
    with pytest.raises(UserError, match="given twice"):
        study_of_runs([folders(finished)[0]] * 2)
    copy = shutil.copytree(folders(finished)[0], tmp_path / "copy")
    with pytest.raises(UserError, match="are the same run of copycat"):
        study_of_runs([folders(finished)[0], copy])
    with pytest.raises(UserError, match="there is no .*nowhere: name the folder of a run"):
        study_of_runs([tmp_path / "nowhere"])
