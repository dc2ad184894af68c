from __future__ import annotations

import csv
import io
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from memtk.errors import UserError
from memtk.results import (
    ByCondition,
    Counts,
    Exposed,
    QualityInterval,
    RateInterval,
    RunFile,
    write_result,
    write_run_file,
)
from memtk.results.differences import difference_interval, paired_difference
from memtk.results.measures import main_measures, measures_of
from memtk.results.schema import MeasureInfo
from memtk.results.seeds import (
    qualities,
    seed_interval,
    settings_of,
    study_csv,
    study_rows,
)
from memtk.results.store import write_record
from memtk.results.study import (
    Failure,
    Finding,
    StudyAxis,
    StudyFile,
    StudyRun,
    failure_path,
    read_study,
    write_study_file,
)
from memtk.testing import fakes

AXES = [StudyAxis(key="mitigation.datasize", values=["0.5", "1"]), StudyAxis(key="seed", values=[])]


@pytest.fixture
def study(make_result, tmp_path):
    """Findings of two sizes and three seeds; more are memorized of the smaller one."""
    findings = []
    for size, counts in {"0.5": (30, 32, 37), "1": (10, 8, 9)}.items():
        for seed, dar in enumerate(counts):
            result = make_result(dar=dar, copies=dar, exposed=dar // 2, seed=seed)
            last = result.last.model_copy(
                update={
                    "quality": {"fid[net]": 10.0 + seed},
                    "measure_info": {"fid[net]": MeasureInfo(real=2.0, better="lower")},
                }
            )
            used = Counts(images=64 if size == "1" else 32 + seed, patients=30)
            result = result.model_copy(update={"checkpoints": [last], "used_training": used})
            values = {"mitigation.datasize": size, "seed": str(seed)}
            findings.append(Finding(f"{size}-{seed}", values, result, tmp_path))
    return StudyFile(kind="datasize", axes=AXES), findings


def test_seeds_of_one_setting_are_one_group_even_if_their_sizes_differ_a_little(study):
    settings = settings_of(*study)
    assert [s.label for s in settings] == ["datasize 0.5", "datasize 1"]
    assert [len(s.findings) for s in settings] == [3, 3]
    assert settings[0].count("dar:n_mem").values == (30, 32, 37)
    assert settings[0].value("dar:n_mem").mean == pytest.approx(33 / 64)
    assert settings[0].null("dar:n_mem") == pytest.approx(0.05)
    assert settings[0].quality("fid[net]").low == 10 and settings[0].real("fid[net]") == 2
    assert qualities(settings) == ["fid[net]"] and settings[0].steps() == (900,)
    assert settings[0].value("dar:n_mem", 900) == settings[0].value("dar:n_mem")


def test_the_interval_of_a_mean_is_students():
    values = np.random.default_rng(0).normal(size=7).tolist()
    low, high = seed_interval(values).interval
    expected = stats.t.interval(0.95, 6, loc=np.mean(values), scale=stats.sem(values))
    assert (low, high) == pytest.approx(expected)
    assert seed_interval([]) is None and seed_interval([1.0]).interval is None


def test_two_settings_are_compared_seed_by_seed(study):
    small, large = settings_of(*study)
    found = paired_difference(large, small, "dar:n_mem")
    assert found.difference.values == pytest.approx([-20 / 64, -24 / 64, -28 / 64])
    expected = stats.ttest_1samp(found.difference.values, 0).confidence_interval(0.95)
    assert found.difference.interval == pytest.approx((expected.low, expected.high))
    assert found.interval[0] < expected.low and found.interval[1] > expected.high
    assert found.clear and not paired_difference(small, small, "dar:n_mem").clear
    assert paired_difference(small, large, "copy_rate") is None  # it was not computed


def test_what_was_not_computed_is_no_measure_and_what_is_said_twice_is_shown_once(make_result):
    result = make_result(exposed=None)
    names = [each.name for each in measures_of(result, result.last)]
    assert names[0] == "n_copies" and not {"copy_rate", "n_mem", "patients_exposed"} & {*names}
    assert "conformal:copies" in names and "conformal:exposed" not in names
    assert "conformal:n_copies" in names, "by ranks: the verdict rests on other numbers"
    old = result.last.model_copy(update={"evidence": fakes.by_ranks(result.last.evidence)})
    names = [each.name for each in measures_of(result, old)]
    assert "conformal:n_copies" not in names, "the verdict rested on it: it is shown once"


def test_the_exposed_patients_are_a_measure_from_the_lower_to_the_upper_end(make_result):
    result = make_result(exposed=(4, 16))
    [found] = measures_of(result, result.last, "exposed")
    assert (found.record.count, found.record.of, found.record.null) == (4, 64, 0)
    assert found.record.interval == (4 / 64, 16 / 64)


def test_what_is_compared_with_chance_is_shown_where_there_is_little_room(make_result):
    result = make_result()
    table = {"a": result.last.protocols["dar"]["validation_called_copies"], "b": None}
    table["b"] = table["a"]
    last = result.last.model_copy(update={"protocols": result.last.protocols | {"own": table}})
    shown = [each.name for each in main_measures(measures_of(result, last))]
    assert shown == [
        "conformal:copies", "conformal:exposed", "dar:n_mem", "dar:n_copies", "dar-matched:n_mem",
        "own:a",
    ]  # fmt: skip


def test_counts_have_the_interval_of_as_many_trials_as_patients(make_result):
    result = make_result(dar=9, copies=5)
    last = result.last

    def bounds(count, n):
        found = stats.binomtest(count, n).proportion_ci(0.95, method="exact")
        return pytest.approx((found.low, found.high))

    def with_patients(patients):
        used = Counts(images=64, patients=patients)
        changed = result.model_copy(update={"used_training": used})
        [found] = measures_of(changed, last, "dar:n_mem")
        return found.record

    one_each, pairs = with_patients(64), with_patients(32)
    assert one_each.interval == bounds(9, 64)
    assert pairs.value == one_each.value and pairs.interval[0] < one_each.interval[0]
    assert pairs.interval[1] > one_each.interval[1]
    [copies] = measures_of(result, last, "dar:n_copies")
    assert copies.record.interval == bounds(copies.record.count, last.n_synthetic)


def test_the_table_says_everything_in_words_of_csv(study):
    rows = list(csv.DictReader(io.StringIO(study_csv(*study))))
    assert len(rows) == 6 and rows[0]["mitigation.datasize"] == "0.5" and rows[1]["seed"] == "1"
    assert float(rows[0]["dar:n_mem_count"]) == 30 and float(rows[0]["dar:n_mem_null"]) < 0.06
    assert float(rows[0]["dar:n_mem"]) == 30 / 64 and "copy_rate" not in rows[0]
    assert float(rows[0]["quality:fid[net]"]) == 10 and float(rows[0]["real:fid[net]"]) == 2
    assert study_rows(*study)[0]["last"] is True
    assert study_csv(study[0], []) == "\n"


def test_the_table_has_what_was_found_by_condition(study):
    file, findings = study
    group = {"n_synthetic": 20, "training_images": 9, "training_patients": 9}
    found = ByCondition(
        column="view",
        value="AP",
        validation_patients=30,
        within=True,
        copy_rate=RateInterval(estimate=0.5, low=0.25, high=0.75),
        exposed=Exposed(low=2, high=6, of=9),
        quality={"ms-ssim": QualityInterval(estimate=0.4, low=0.3, high=0.5)},
        **group,
    )
    first = findings[0]
    last = first.result.last.model_copy(update={"by_condition": [found]})
    result = first.result.model_copy(update={"checkpoints": [last]})
    told = [replace(first, result=result), *findings[1:]]
    rows = list(csv.DictReader(io.StringIO(study_csv(file, told))))
    assert {name: row for name, row in rows[0].items() if name.startswith("view=AP:")} == {
        "view=AP:n_synthetic": "20",
        "view=AP:copy_rate": "0.5",
        "view=AP:copy_rate_low": "0.25",
        "view=AP:copy_rate_high": "0.75",
        "view=AP:quality:ms-ssim": "0.4",
        "view=AP:quality:ms-ssim_low": "0.3",
        "view=AP:quality:ms-ssim_high": "0.5",
        "view=AP:exposed_low": "2",
        "view=AP:exposed_high": "6",
    }
    assert rows[1]["view=AP:copy_rate"] == "" and rows[1].keys() == rows[0].keys()


def test_given_runs_of_other_settings_are_never_averaged(study):
    file, findings = study
    file = StudyFile(kind="iterations", runs=["a", "b"])
    first, second = findings[3], findings[4]
    parts = second.result.components
    other = parts.generator.model_copy(update={"config": {"width": 3}})
    changed = second.result.model_copy(
        update={"components": parts.model_copy(update={"generator": other})}
    )
    plain = settings_of(file, [first, second])
    assert len(plain) == 1
    apart = settings_of(file, [first, Finding("b", {}, changed, second.run)])
    assert [s.label for s in apart] == ["toy", "toy, other settings"]


def test_a_study_is_read_with_what_is_missing_and_what_failed(make_result, tmp_path):
    names = ("done", "broken", "waiting")
    cells = [StudyRun(name=n, values={"seed": n}, recipe={}, images="x") for n in names]
    write_study_file(tmp_path, StudyFile(kind="grid", axes=AXES, cells=cells))
    run = tmp_path / "cells" / "done"
    write_run_file(run, RunFile(recipe={}, cells=["toy"]))
    write_result(run / "cells" / "toy" / "result.json", make_result())
    write_record(failure_path(tmp_path, "broken"), Failure(message="no luck"))
    found = read_study(tmp_path)
    assert [f.cell for f in found.findings] == ["done"] and found.runs == 3
    assert found.missing == ("broken", "waiting") and found.failed == {"broken": "no luck"}


def test_a_folder_without_a_study_is_told(tmp_path):
    with pytest.raises(UserError, match="is no study"):
        read_study(tmp_path)


def test_an_axis_has_a_short_name():
    keys = {"mitigation.augment": "augment", "bench.alpha": "alpha", "data.shape": "data.shape"}
    assert {key: StudyAxis(key=key, values=[]).label for key in keys} == keys


def test_a_difference_of_two_zeros_has_the_interval_that_their_own_ends_leave(make_result):
    rate = RateInterval(estimate=0.0, low=0.0, high=0.2)
    nothing = [make_result(copy_rate=rate, confidence=0.95, seed=seed) for seed in (0, 1)]
    ones = StudyFile(kind="grid", axes=AXES)
    found = [
        Finding(f"{size}", {"mitigation.datasize": size, "seed": str(r.seed)}, r, Path("x"))
        for size in ("0.5", "1")
        for r in nothing
    ]
    small, large = settings_of(ones, found)
    compared = paired_difference(large, small, "copy_rate")
    assert compared.difference.mean == 0 and compared.interval == pytest.approx((-0.2, 0.2))
    assert not compared.clear


def compared(make_result, ours, theirs, half):
    """Return the comparison of two settings by copy rates, a seed each, with half-widths."""
    found = []
    for size, rates in (("1", ours), ("0.5", theirs)):
        for seed, p in enumerate(rates):
            rate = RateInterval(estimate=p, low=p - half, high=p + half)
            result = make_result(copy_rate=rate, confidence=0.95, seed=seed)
            values = {"mitigation.datasize": size, "seed": str(seed)}
            found.append(Finding(f"{size}-{seed}", values, result, Path("x")))
    large, small = settings_of(StudyFile(kind="grid", axes=AXES), found)
    return paired_difference(large, small, "copy_rate")


def test_so_many_seeds_as_it_says_would_tell_and_one_fewer_would_not(make_result):
    few = compared(make_result, (0.6, 0.5), (0.4, 0.4), half=0.05)
    assert not few.clear and 3 < few.seeds < 30

    def with_seeds(count):
        ways = np.array([1, -1] * (count // 2) + [0] * (count % 2))
        ours = 0.55 + ways * np.std(few.difference.values, ddof=1) / np.std(ways, ddof=1)
        return compared(make_result, ours.tolist(), [0.4] * count, half=0.05)

    assert with_seeds(few.seeds).clear and not with_seeds(few.seeds - 1).clear


def test_no_number_of_seeds_tells_what_few_patients_leave_open(make_result):
    assert compared(make_result, (0.6, 0.5), (0.4, 0.4), half=0.2).seeds is None
    assert compared(make_result, (0.4, 0.4), (0.4, 0.4), half=0.01).seeds is None
    assert compared(make_result, (0.4,), (0.3,), half=0.3).seeds is None


def test_the_interval_of_a_difference_is_that_of_newcombe_and_never_beyond_all(make_result):
    def record(value, low, high):
        return fakes.share("x", "training", value * 10, 10).model_copy(
            update={"interval": (low, high)}
        )

    one, other = record(0.7, 0.52, 0.84), record(0.3, 0.18, 0.47)
    low = 0.4 - math.sqrt((0.7 - 0.52) ** 2 + (0.47 - 0.3) ** 2)
    high = 0.4 + math.sqrt((0.84 - 0.7) ** 2 + (0.3 - 0.18) ** 2)
    assert difference_interval([one], [other]) == pytest.approx((low, high))
    wild = [record(1.0, 0.0, 1.0), record(0.0, 0.0, 1.0)]
    assert difference_interval(wild, wild[::-1]) == (-1.0, 1.0)
    bare = [each.model_copy(update={"interval": None}) for each in (one, other)]
    assert difference_interval(bare[:1], bare[1:]) is None, "one seed, and nothing else is known"


def test_the_interval_of_a_difference_covers_it_where_few_patients_and_seeds_say_so():
    rng, inside, runs = np.random.default_rng(0), 0, 400
    ends = [stats.binomtest(k, 40).proportion_ci() for k in range(41)]
    shares = [
        fakes.share("x", "training", k, 40).model_copy(update={"interval": (e.low, e.high)})
        for k, e in enumerate(ends)
    ]
    for _ in range(runs):
        pair = []
        for p in (0.3, 0.1):
            drawn = rng.binomial(40, np.clip(p + rng.normal(0, 0.03, 3), 0, 1))
            pair.append([shares[k] for k in drawn])
        low, high = difference_interval(*pair)
        inside += low <= 0.2 <= high
    assert inside / runs >= 0.95
