"""The paper's numbers: each derived number is computed again here."""

from __future__ import annotations

import pytest

from memtk.errors import UserError
from memtk.results import Suite, Used
from memtk.results.reference import (
    DATA_SETS,
    counterpart,
    paper_numbers,
    reported,
    select,
    sentence,
)

ROWS = paper_numbers().row


@pytest.mark.parametrize("row", ROWS, ids=lambda r: f"{r.data_set}-{r.system}-{r.training}")
def test_counts_belong_to_the_printed_percentages(row):
    for count, percent in (
        (row.mem_count, row.mem_percent),
        (row.copies_count, row.copies_percent),
    ):
        if count is not None:
            assert round(100 * count / row.training, 1) == percent
        else:
            near = [round(100 * k / row.training, 1) for k in range(row.training + 1)]
            assert percent not in near  # there is no such number: that is why it is left out


def test_the_means_of_the_main_study_are_those_of_the_abstract():
    rows = [row for row in ROWS if row.study == "main"]
    assert round(sum(row.mem_percent for row in rows) / 5, 1) == 40.9
    assert round(sum(row.copies_percent for row in rows) / 5, 1) == 78.5


def test_the_published_pair_is_the_predictive_values_and_stands_the_right_way_round_here():
    row = select("mrnet", "MedDiff")[0]
    found = row.agreement
    assert (row.published_sensitivity, row.published_specificity) == (85, 97)
    assert (found.ppv, found.npv) == (85.0, 96.7)
    assert (found.sensitivity, found.specificity) == (94.4, 90.6)  # 34 of 36, 58 of 64
    other = select("mrnet", "monai3d")[0].agreement
    assert (other.sensitivity, other.specificity) == (100.0, 88.7)  # 38 of 38, 55 of 62
    assert not found.replayed and select("pccta", "MONAI")[0].agreement.replayed


def test_nulls_follow_from_the_sizes():
    nulls = {(r.data_set, r.training): r.null_percent for r in ROWS}
    assert nulls["mrnet", 904] == 18.5 and nulls["pccta", 242] == 19.3
    sizes = {n: nulls["chest-xray", n] for n in (5000, 10000, 20000)}
    assert sizes == {5000: 2.5, 10000: 5.0, 20000: 9.8}


def test_rows_are_chosen_by_data_set_and_by_either_name_of_the_system():
    assert select("MRNet", "MONAI") == select("mrnet", "monai3d")
    assert len(select()) == len(ROWS) and {r.data_set for r in ROWS} == set(DATA_SETS)
    with pytest.raises(UserError, match="Did you mean 'mrnet'"):
        select("mrnett")
    with pytest.raises(UserError, match="no system 'gan'"):
        select(system="gan")


def of(make_result, suite, generator, *mitigations):
    result = make_result()
    used = {"plugin": "x", "distribution": "memtk", "version": "1"}
    parts = result.components.model_copy(
        update={
            "generator": Used(name=generator, **used),
            "mitigations": [Used(name=name, **used) for name in mitigations],
        }
    )
    suite = Suite(name=suite, version="1") if suite else None
    return result.model_copy(update={"suite": suite, "components": parts})


def test_a_data_set_is_known_by_the_name_of_the_suite_alone(make_result):
    rows = reported(of(make_result, "mrnet", "monai3d"))
    assert {r.data_set for r in rows} == {"mrnet"} and rows[0].generator == "monai3d"
    assert reported(of(make_result, None, "monai3d")) == ()
    assert reported(of(make_result, "phantom3d", "monai3d")) == ()


def test_the_counterpart_has_the_same_generator_and_augmentation(make_result):
    plain = counterpart(of(make_result, "mrnet", "meddiff3d"))
    assert plain.mem_percent == 40.2
    assert counterpart(of(make_result, "mrnet", "meddiff3d", "augment")).mem_percent == 27.7
    assert counterpart(of(make_result, "mrnet", "meddiff3d", "datasize")) is None
    assert counterpart(of(make_result, "mrnet", "copycat")) is None
    assert counterpart(of(make_result, "chest-xray", "monai2d")).mem_percent == 32.6
    assert "40.2% memorized (363 of 904)" in sentence(plain)
