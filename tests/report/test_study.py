from __future__ import annotations

import shlex
import shutil
from dataclasses import replace

import pytest
from rich.console import Console

from memtk.errors import UserError
from memtk.report import build_report
from memtk.report.study import (
    build_study_report,
    contrasts,
    paper_rows,
    question,
    series_note,
)
from memtk.report.study_answer import answer_study, study_steps
from memtk.report.study_terminal import paper_table, study_summary
from memtk.results import MeasureRecord, RateInterval, Suite, read_result, read_run, write_result
from memtk.results.protocols import Comparable, GroupTest
from memtk.results.reference import select
from memtk.results.seeds import settings_of
from memtk.results.study import (
    StudyAxis,
    StudyFile,
    StudyRun,
    cell_folder,
    read_study,
    write_study_file,
)
from memtk.testing import fakes

SECRETS = ("Doe_John", "PAT-00417", "/home/hospital")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study without and with augmentation, two seeds each, one cell missing."""
    return tmp_path_factory.mktemp("study")


@pytest.fixture
def made(study, make_run):
    if (study / "study.json").exists():
        return study
    cells = []
    for way, share in {"off": 0.6, "on": 0.2}.items():
        for seed in (0, 1):
            name = f"augment-{way}_seed-{seed}"
            values = {"mitigation.augment": way, "seed": str(seed)}
            cells.append(StudyRun(name=name, values=values, recipe={}, images="x"))
            run = make_run(cells={"monai": share}, seed=3)
            place = cell_folder(study, name)
            shutil.move(run, place)
            path = place / "cells" / "monai" / "result.json"
            result = read_run(place).results[0]
            write_result(path, result.model_copy(update={"seed": seed}))
    cells.append(StudyRun(name="augment-on_seed-2", values={}, recipe={}, images="x"))
    axes = [
        StudyAxis(key="mitigation.augment", values=["off", "on"]),
        StudyAxis(key="seed", values=["0", "1", "2"]),
    ]
    file = StudyFile(kind="augmentation", axes=axes, cells=cells, created="today")
    write_study_file(study, file)
    return study


def text_of(shown, width=100):
    console = Console(width=width, record=True, quiet=False, file=None)
    with console.capture() as capture:
        console.print(shown)
    return capture.get()


@pytest.fixture
def page(made):
    path = made / "report.html"
    return (path if path.exists() else build_study_report(made)).read_text()


def test_the_page_answers_the_question_with_seeds_nulls_and_intervals(page):
    assert "Does augmentation lower memorization?" in page
    assert "With 2 seeds for each setting" in page and "not what other patients would give" in page
    assert "4 of 5 cells finished" in page and "<li>augment-on_seed-2</li>" in page
    assert "augment off" in page and "[5%]" in page
    for figure in ("Memorization against the setting", "in the course of training", "nearest"):
        assert figure in page
    assert page.count("data:image/svg+xml") == 2 * 6  # for wide pages and for phones
    first = page[page.index('class="first"') :]
    assert "Yes, it does: the copy rate is" in first[:200]
    assert page.index("With 2 seeds") > page.index("Yes, it does")


def test_the_page_shows_no_file_name_and_no_patient_and_is_the_same_each_time(made, page):
    assert not [s for s in SECRETS if s in page]
    assert not [s for s in SECRETS if s in (made / "study.csv").read_text()]
    assert build_study_report(made).read_text() == page


def test_a_copy_rate_by_readers_is_named_as_that(made, plain, tmp_path):
    folder = shutil.copytree(made, tmp_path / "study")
    path = cell_folder(folder, "augment-on_seed-0") / "cells/monai/result.json"
    result = read_result(path)
    found = result.last.evidence
    threshold = found.threshold.model_copy(update={"copies_read": 9})
    last = result.last.model_copy(
        update={"evidence": found.model_copy(update={"threshold": threshold})}
    )
    write_result(path, result.model_copy(update={"checkpoints": [*result.checkpoints[:-1], last]}))
    page = build_study_report(folder).read_text()
    assert page.count("; sensitivity by readers") == 1  # of one setting
    assert "by readers" in text_of(study_summary(read_study(folder)))
    assert (folder / "study.csv").read_text().count("sensitivity by readers") == 1


def test_settings_are_compared_with_the_first(made):
    found = read_study(made)
    settings = settings_of(found.file, found.findings)
    ((setting, each),) = contrasts(settings, ["dar-matched:n_mem", "copy_rate"])
    assert setting.label == "augment on" and each[0].means[0] < each[0].means[1]
    assert each[0].difference.mean < -0.3 and each[0].interval[1] > each[0].difference.high
    assert each[1].clear


def test_no_word_of_a_setting_is_broken_in_a_narrow_terminal(made):
    text = text_of(study_summary(read_study(made)), 60)
    assert "augment off" in text.replace("\n", " ") and "augme " not in text


def test_what_would_tell_more_of_a_study_is_a_command_that_is_whole(made, tmp_path):
    found = read_study(made)
    [step] = study_steps(found, settings_of(found.file, found.findings), paths=True)
    words = shlex.split(step.command.replace("\\\n", " "))
    assert words[:3] == ["memtk", "study", "augmentation"] and words[-2:] == ["--out", str(made)]
    assert "--seeds" in words and words[words.index("--seeds") + 1] == "0,1,2,3,4"


@pytest.mark.parametrize("key", ["generator.guidance", "generator.diffusion.steps"])
def test_a_command_keeps_the_generator_whose_setting_is_varied_and_fixes_no_value_of_it(made, key):
    found, settings = read_study(made), {"generator": {"timesteps": 9, "guidance": 1}}
    settings["generator"]["diffusion"] = {"steps": 5, "batch_size": 4}
    recipe = {"bench": {"generator": ["monai2d"]}, "settings": settings}
    axis = StudyAxis(key=key, values=["1", "2"])
    cells = [cell.model_copy(update={"recipe": recipe}) for cell in found.file.cells]
    file = found.file.model_copy(update={"kind": "grid", "axes": [axis], "cells": cells})
    [step] = study_steps(
        replace(found, file=file), settings_of(found.file, found.findings), paths=True
    )
    words = shlex.split(step.command.replace("\\\n", " "))
    assert words[words.index("--generator") + 1] == "monai2d"
    fixed = {"generator.timesteps=9", "generator.guidance=1", "generator.diffusion.steps=5"}
    fixed = {text for text in fixed if not text.startswith(key)}
    assert set(words) & {f"{key}=1", f"{key}=5"} == set()
    assert fixed | {"generator.diffusion.batch_size=4", f"{key}=1,2"} <= set(words)


def twice(study, change=lambda result: result):
    """Return the settings of a study with the numbers of the first in both."""
    off, on = settings_of(study.file, study.findings)
    pairs = zip(off.findings, on.findings, strict=True)
    same = [replace(f, values=o.values, result=change(f.result)) for f, o in pairs]
    return [off, replace(on, findings=tuple(same))]


def test_an_interval_that_tells_nothing_is_no_answer(made, monkeypatch):
    monkeypatch.setattr("memtk.report.study_answer.WIDE", 0.2)
    found = read_study(made)
    said = answer_study(found, twice(found))
    assert said.first.startswith("These sizes cannot tell: the copy rate is")
    assert "interval" not in said.first and "more patients may" in said.first
    [step] = study_steps(found, twice(found), paths=True)
    assert "patients" in step.said and not step.command


def test_a_study_whose_settings_do_not_differ_says_what_is_left_open(made, monkeypatch):
    monkeypatch.setattr("memtk.report.study_answer.WIDE", 2.0)
    found = read_study(made)
    said = answer_study(found, twice(found))
    assert said.first.startswith("Not shown either way: the copy rate is")
    assert "lies between −" in said.first and "+0 " not in said.first


def test_settings_whose_images_are_unlike_the_data_are_counted(made):
    def noise(result):
        test = GroupTest(p=0.0005, size=0.9, nearer=False)
        evidence = result.last.evidence.model_copy(
            update={"comparable": Comparable(synthetic=test)}
        )
        last = result.last.model_copy(update={"evidence": evidence})
        return result.model_copy(update={"checkpoints": [*result.checkpoints[:-1], last]})

    found = read_study(made)
    assert "unlike" not in answer_study(found, twice(found)).first
    said = answer_study(found, twice(found, noise)).first
    assert said.endswith(
        "In 1 of 2 settings the images are unlike the data: few copies say nothing there."
    )


def changed(made, folder, change):
    """A copy of a study in which the last checkpoint of each result is changed."""
    folder = shutil.copytree(made, folder)
    for number, path in enumerate(sorted(folder.rglob("result.json"))):
        result = read_result(path)
        last = change(number, result.last)
        write_result(
            path, result.model_copy(update={"checkpoints": [*result.checkpoints[:-1], last]})
        )
    return read_study(folder)


def test_a_measure_of_a_plugin_that_is_no_share_is_a_number_with_its_sign(made, tmp_path):
    def measured(number, last):
        gap = MeasureRecord(value=(-0.0025, 0.02)[number % 2], title="gap", side="", null=0.0)
        return last.model_copy(update={"protocols": {**last.protocols, "mine": {"gap": gap}}})

    text = text_of(study_summary(changed(made, tmp_path / "study", measured)), 120)
    assert "0.00875" in text and "-0.0025 to 0.02" in text and "[0]" in text


def test_seeds_that_all_give_the_same_are_counted_and_their_patients_are_one_number(made, tmp_path):
    def certain(number, last):
        found = {"copy_rate": RateInterval(estimate=1.0, low=1.0, high=1.0)}
        found["exposed"] = last.evidence.exposed.model_copy(update={"low": 5, "high": 5})
        return last.model_copy(update={"evidence": last.evidence.model_copy(update=found)})

    study = changed(made, tmp_path / "study", certain)
    said = answer_study(study, settings_of(study.file, study.findings))
    assert said.first.endswith("100% with augment off, in each of 2 seeds.")
    text = " ".join(text_of(study_summary(study)).split())
    assert "5-5" not in text and "5 to 5" not in build_study_report(study.folder).read_text()


def test_what_is_asked_is_answered_of_a_generator_before_a_control(made):
    found = read_study(made)
    parts = found.findings[0].result.components
    own = parts.model_copy(update={"generator": fakes.used("copycat", "toy")})

    def control(name):
        results = [
            replace(each, result=each.result.model_copy(update={"components": own}))
            for each in found.findings
        ]
        return [replace(s, label=name + s.label) for s in settings_of(found.file, results)]

    settings = [*settings_of(found.file, found.findings), *control("copycat, ")]
    assert "copycat" not in answer_study(found, settings).first


def test_many_measures_stand_below_each_other_in_a_narrow_terminal(made, monkeypatch):
    names = [f"prdc.measure{number}[ntxent2d]" for number in range(9)]
    monkeypatch.setattr("memtk.report.study_terminal.qualities", lambda settings: names)
    text = text_of(study_summary(read_study(made)), 80)
    assert "…" not in text and text.count("[ntxent2d]") == 9
    assert [text.count(f"prdc.measure{number}") for number in range(9)] == [1] * 9
    assert text.count("training ") >= 1


def test_the_terminal_says_what_the_page_says(made):
    text = text_of(study_summary(read_study(made)))
    assert "augment off" in text and "[5%]" in text and "With 2 seeds" in text
    assert "augment-on_seed-2: not finished" in text
    narrow = text_of(study_summary(read_study(made)), 80)
    assert max(map(len, narrow.splitlines())) <= 80


def test_a_study_without_any_finished_cell_has_no_report(tmp_path):
    write_study_file(tmp_path, StudyFile(kind="grid"))
    with pytest.raises(UserError, match="nothing to report"):
        build_study_report(tmp_path)


def test_the_question_names_what_is_varied():
    def asked(*keys, kind="grid"):
        axes = [StudyAxis(key=key, values=[]) for key in keys]
        return question(StudyFile(kind=kind, axes=axes))

    assert asked("generator", "seed") == "How does memorization depend on the generator?"
    assert asked("data.shape", "mitigation.augment").endswith("data.shape and augment?")
    assert asked("seed") == "How far do seeds lie apart?"
    assert asked("seed", kind="iterations").startswith("What does longer training")


def test_one_seed_is_told_to_say_nothing_of_others(made):
    found = read_study(made)
    single = settings_of(found.file, found.findings[:1])
    assert "With one seed" in series_note(single)
    assert "2 to 3" not in series_note(single)


def with_suite(folder, name):
    run = read_run(folder)
    for result in run.results:
        generator = result.components.generator.model_copy(update={"name": "monai3d"})
        parts = {"generator": generator, "mitigations": []}
        components = result.components.model_copy(update=parts)
        changed = {"suite": Suite(name=name, version="1"), "components": components}
        path = folder / "cells" / result.cell / "result.json"
        write_result(path, result.model_copy(update=changed))


def test_the_paper_stands_beside_a_run_and_a_study_of_its_data_set(
    make_run, plain, tmp_path, monkeypatch
):
    monkeypatch.setattr("memtk.report.study.draw_study", lambda study, settings: {})
    run = make_run()
    assert "The paper" not in build_report(run).read_text()
    with_suite(run, "mrnet")
    assert "reports 47.6% memorized (430 of 904)" in build_report(run).read_text()
    file = StudyFile(kind="iterations", runs=[str(run)], created="today")
    folder = tmp_path / "study"
    write_study_file(folder, file)
    page = build_study_report(folder).read_text()
    assert "What the paper reports on this data set" in page and "430" in page
    found = read_study(folder)
    rows = paper_rows(settings_of(found.file, found.findings))
    assert {(row.data_set, row.system) for row in rows} == {("mrnet", "MONAI")}


def test_the_papers_numbers_fit_a_terminal():
    text = text_of(paper_table(select()), 80)
    assert max(map(len, text.splitlines())) <= 80
    assert "94/91" in text and "85/97" in text and "18.5%" in text and "~80/98" in text
