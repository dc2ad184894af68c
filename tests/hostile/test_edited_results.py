"""A leaderboard is not lied to by an editor: what a rank rests on follows from the arrays."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import binomtest

from memtk.cli import cli
from memtk.evaluation.recompute import evidence_again, recompute
from memtk.leaderboard import Collection, collect, make_boards, recomputed
from memtk.results.store import read_arrays, write_arrays


@pytest.fixture
def results(world, tmp_path):
    """A collection of one result with its arrays, of a generator that copies."""
    return shutil.copytree(world["all"], tmp_path / "all")


def edit(folder, change):
    [path] = folder.rglob("result.json")
    tree = json.loads(path.read_text())
    change(tree["checkpoints"][-1], tree)
    path.write_text(json.dumps(tree))


def edit_arrays(folder, change, label="step-000100"):
    [path] = folder.rglob("arrays.h5")
    arrays = read_arrays(path, label)
    change(arrays)
    write_arrays(path, label, arrays)


def refused(folder):
    found = recomputed(collect(folder))
    assert not found.runs
    done = CliRunner().invoke(cli, ["results", "validate", str(folder)])
    assert done.exit_code == 3 and "0 of 1 valid" in done.output
    return found.refused[0].reason


def rank(folder):
    [board] = make_boards(recomputed(collect(folder)).runs)
    return board.ranks[0], board.rows[0]


def test_an_honest_file_is_ranked_by_what_its_arrays_give(results):
    place, row = rank(results)
    assert str(place) == "1" and not row.unproven
    done = CliRunner().invoke(cli, ["results", "validate", str(results)])
    assert done.exit_code == 0 and "1 of 1 valid" in done.output
    said = row.runs[0].result.last.evidence.copy_rate
    assert abs(row.copy_rate.estimate - said.estimate) < 1e-9 and said.estimate > 0.3


RATES = (
    {"estimate": 0.0, "low": 0.0, "high": 0.0},
    {"estimate": 0.0, "low": 0.0, "high": 1.0},
    {"estimate": 0.6, "low": 0.0, "high": 1.0},
)


@pytest.mark.parametrize("rate", RATES, ids=str)
def test_a_copy_rate_that_was_edited_is_refused(results, rate):
    def change(checkpoint, tree):
        checkpoint["evidence"] |= {"copy_rate": rate, "copy_rate_upper_bound": 1.0}

    edit(results, change)
    assert "does not follow from its arrays: copy rate" in refused(results)


def test_a_copy_rate_that_was_taken_out_is_refused(results):
    edit(results, lambda checkpoint, tree: checkpoint["evidence"].update(copy_rate=None))
    assert "copy rate, estimate: none in the file" in refused(results)


def nudged(value):
    if isinstance(value, float):
        return value - 0.001 if value > 0.5 else value + 0.001
    return value - 1 if value else 1


NUMBERS = (
    *("copy_rate.estimate", "copy_rate.low", "copy_rate.high", "copy_rate_upper_bound"),
    *("exposed.low", "exposed.high", "copies.sure", "copies.suspect", "copies.at_least"),
    *("training_images.sure", "patients.sure", "patients.at_least", "comparable.synthetic.p"),
    *("threshold.similarity", "threshold.flagged", "threshold.sensitivity", "tau", "min_p"),
)


@pytest.mark.parametrize("name", NUMBERS)
def test_any_number_of_what_a_rank_rests_on_is_that_of_the_arrays_to_the_digit(results, name):
    def change(checkpoint, tree):
        *tables, key = name.split(".")
        table = checkpoint["evidence"]
        for each in tables:
            table = table[each]
        table[key] = nudged(table[key])

    edit(results, change)
    assert refused(results)


def test_what_older_formulas_gave_has_no_rank(results):
    [run] = collect(results).runs
    [found] = recomputed(Collection((replace(run, schema=2),), ())).runs
    assert "formulas of an older memtk, run it again" in found.unproven


def committed(name, folder):
    """A collection of one result with a self-test, of a bench of this repository."""
    [found] = (Path(__file__).parents[2] / "benchmarks/results/phantom2d-1").glob(f"*/{name}")
    return shutil.copytree(found, folder)


@pytest.fixture
def tested(tmp_path):
    return committed("gan2d-*/seed-0", tmp_path / "tested")


def last(folder):
    [run] = collect(folder).runs
    return run.result.last.label


@pytest.mark.parametrize("names", [("planted", "planted_source"), ("exposure_planted",)], ids=str)
def test_without_the_planted_copies_a_self_test_gives_no_rank(tested, names):
    assert [run.unproven for run in recomputed(collect(tested)).runs] == [""]
    edit_arrays(tested, lambda arrays: [arrays.pop(name) for name in names], last(tested))
    assert "does not follow from its arrays" in refused(tested)
    [run] = collect(tested).runs
    kept = read_arrays(run.path.with_name("arrays.h5"), last(tested))
    fitting = evidence_again(run.result, kept).model_dump(mode="json")
    edit(tested, lambda checkpoint, tree: checkpoint.update(evidence=fitting))
    [run] = recomputed(collect(tested)).runs
    assert run.unproven.startswith("its arrays do not hold the planted copies, run it again")


def counted(rate, count, n):
    """Make a rate of a count, such that it agrees with itself."""
    ends = binomtest(count, n).proportion_ci(0.95, "exact")
    rate |= {"count": count, "n": n, "rate": count / n, "low": ends.low, "high": ends.high}


RULES = ["conformal", "dar", "min_p", "exposure"]


@pytest.mark.parametrize("rule", RULES)
def test_a_self_test_that_was_edited_is_refused(tested, rule):
    def change(checkpoint, tree):
        found = tree["selftest"]["sensitivity"]
        rate = found[rule]
        counted(rate, rate["count"] - 1, rate["n"])
        for right in ("right_image", "right_patient") if rule == "conformal" else ():
            counted(found[right], rate["count"], rate["count"])

    edit(tested, change)
    assert f"planted copies, {rule}, count" in refused(tested)


@pytest.mark.parametrize("rule", ["dar", "conformal", "exposure"])
def test_strangers_that_were_spared_are_those_of_the_arrays(tmp_path, rule):
    folder = committed("independent-*/seed-1", tmp_path / "a")
    assert [run.unproven for run in recomputed(collect(folder)).runs] == [""]

    def change(checkpoint, tree):
        rate = tree["selftest"]["specificity"][rule]
        counted(rate, rate["count"] // 2, rate["n"])

    edit(folder, change)
    assert f"strangers, {rule}, count" in refused(folder)


@pytest.mark.parametrize("factor", [0.5, 2, 10])
def test_another_number_of_planted_copies_is_refused(tested, factor):
    def change(checkpoint, tree):
        found = tree["selftest"]["sensitivity"]
        for rate in filter(None, found.values()):
            counted(rate, int(rate["count"] * factor), int(rate["n"] * factor))

    edit(tested, change)
    assert "planted copies, conformal, n: " in refused(tested)


@pytest.mark.parametrize("key", ["n", "rate", "low", "high"])
@pytest.mark.parametrize(
    "where", ["sensitivity.dar", "sensitivity.right_image", "specificity.conformal", "plants.0"]
)
def test_a_rate_of_the_self_test_follows_from_its_count(tested, where, key):
    def change(checkpoint, tree):
        table = tree["selftest"]
        for part in where.split("."):
            table = table[int(part) if part.isdecimal() else part]
        rate = table.get("found", {}).get("dar", table)
        rate[key] = rate["n"] + 1 if key == "n" else 0.9 * rate[key]

    edit(tested, change)
    assert refused(tested)


GROUPS = [
    ("copies", "may_miss"), ("patients", "never"), ("training_images", "margin_model"),
    ("copies", "margin_check"), ("exposed", "sensitivity"), ("exposed", "false_positive_rate"),
    ("threshold", "sensitivity"),
]  # fmt: skip


@pytest.mark.parametrize("names", GROUPS, ids=".".join)
def test_one_number_alone_is_in_no_file_left_out(tested, names):
    edit(tested, lambda checkpoint, tree: checkpoint["evidence"][names[0]].update({names[1]: None}))
    assert refused(tested)


def test_numbers_that_came_later_are_missing_together_in_older_files(tested):
    def change(checkpoint, tree):
        for units in ("copies", "training_images", "patients"):
            for name in ("may_miss", "never"):
                del checkpoint["evidence"][units][name]

    edit(tested, change)
    assert [run.unproven for run in recomputed(collect(tested)).runs] == [""]


def test_checkpoints_that_were_taken_out_are_refused(tested):
    edit(tested, lambda checkpoint, tree: tree.update(checkpoints=tree["checkpoints"][:1]))
    assert "of which it says nothing" in refused(tested)


@pytest.mark.parametrize("whole", [True, False])
def test_a_self_test_that_was_taken_out_is_refused(tested, whole):
    def change(checkpoint, tree):
        if whole:
            tree["selftest"] = None
        else:
            tree["selftest"]["sensitivity"]["exposure"] = None

    edit(tested, change)
    assert "its arrays hold planted copies, of which it says nothing" in refused(tested)


def test_planted_copies_that_were_edited_are_refused(tested):
    edit_arrays(tested, lambda arrays: arrays.update(planted=arrays["planted"] - 1), last(tested))
    assert "copy rate" in refused(tested)


def test_identical_images_that_were_edited_away_are_refused(results):
    edit(results, lambda checkpoint, tree: checkpoint.update(identical_images=1))
    edit_arrays(
        results, lambda a: a.update(synthetic_identical=np.zeros(len(a["synthetic_train"])))
    )
    assert refused(results)


@pytest.mark.parametrize("name", ["patients_exposed", "n_copies", "n_mem", "reference_n_mem"])
def test_counts_that_were_edited_everywhere_are_refused(results, name):
    def change(checkpoint, tree):
        checkpoint["evidence"][name] = 0
        for table in checkpoint["protocols"].values():
            for key, record in table.items():
                if key in (name, "n_mem") and record["of"]:
                    record |= {"count": 0, "value": 0.0, "interval": None}

    edit(results, change)
    assert refused(results)


def test_without_arrays_there_is_no_rank(results):
    [path] = results.rglob("arrays.h5")
    path.unlink()
    place, row = rank(results)
    assert place is None and "no rank: its arrays are not beside it" in row.remarks


def test_without_whose_the_images_are_there_is_no_rank(results):
    def change(checkpoint, tree):
        tree["data"]["counts"]["training"]["patients"] -= 1
        tree["used_training"]["patients"] -= 1

    edit(results, change)
    found = recomputed(collect(results))
    assert found.refused or found.runs[0].unproven == (
        "its arrays do not say whose the training images are, run it again with this memtk"
    )


CHANGES = {
    "shorter": lambda a: a.update(synthetic_train=a["synthetic_train"][:-1]),
    "texts": lambda a: a.update(synthetic_train=a["synthetic_train"].astype("S8")),
    "nothing": lambda a: a.pop("validation_train"),
    "NaN": lambda a: a.update(synthetic_train=np.full_like(a["synthetic_train"], np.nan)),
    "far away": lambda a: a.update(synthetic_train=a["synthetic_train"] - 1),
    "another's": lambda a: a.update(validation_train=np.ones_like(a["validation_train"])),
    "two axes": lambda a: a.update(synthetic_train=a["synthetic_train"][None]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_arrays_that_were_edited_are_refused(results, change):
    edit_arrays(results, CHANGES[change])
    assert refused(results)


@pytest.mark.parametrize("name", ["phantom2d-1/gan2d-*/seed-0", "mrnet-*/*/*/seed-0"])
@pytest.mark.parametrize("change", ["held out", "rules"])
def test_strangers_of_a_self_test_are_no_more_than_there_are_and_as_many_to_each_rule(
    name, change, tmp_path
):
    benchmarks = Path(__file__).parents[2] / "benchmarks/results"
    results = shutil.copytree(sorted(benchmarks.rglob(name.partition("/")[2]))[0], tmp_path / "a")

    def edited(checkpoint, tree):
        found = tree["selftest"]
        if change == "held out":
            found["specificity_from"] = "held_out"
            tree["data"]["counts"]["held_out"] = {"images": 0, "patients": 0}
        else:
            counted(found["specificity"]["dar"], 1, 1)

    edit(results, edited)
    assert "rates of the self-test by their counts" in {
        c.reason.partition(":")[0] for c in collect(results).refused
    }


@pytest.mark.parametrize("change", ["timing", "seed"])
def test_a_run_counts_once_whatever_was_edited_beside_its_arrays(tested, tmp_path, change):
    again = shutil.copytree(tested, tested.with_name("again"))
    edit(
        again,
        lambda checkpoint, tree: (
            tree[change].update(x=1.0) if change == "timing" else tree.update(seed=9)
        ),
    )
    recompute(again, [], evidence=True)
    [honest] = recomputed(collect(tested)).runs
    found = recomputed(collect(tmp_path))
    assert [run.rate for run in found.runs] in (
        [honest.rate],
        [recomputed(collect(again)).runs[0].rate],
    )
    assert found.refused[0].reason.endswith("a run counts once")


def test_two_seeds_of_a_generator_that_copies_to_the_bit_are_two_runs(tmp_path):
    words = ["--generator", "copycat", "--data", "phantom2d", "--similarity", "ncc"]
    words += ["--preset", "smoke", "--set", "copycat.rate=1"]
    for seed in "01":
        out = ["--seed", seed, "--out", str(tmp_path / seed)]
        assert CliRunner().invoke(cli, ["bench", *words, *out]).exit_code == 0
    found = recomputed(collect(tmp_path))
    assert sorted(run.result.seed for run in found.runs) == [0, 1] and not found.refused


def test_a_line_of_images_is_of_the_collection_and_of_no_file_that_a_link_leads_to(
    results, tmp_path
):
    (tmp_path / "secret").write_text("secret")
    edit(results, lambda checkpoint, tree: tree.update(suite=None))
    (results / "IMAGES.txt").write_text("chests")
    next(results.rglob("result.json")).with_name("IMAGES.txt").symlink_to(tmp_path / "secret")
    assert {run.images for run in collect(results).runs} == {"chests"}


BROKEN = {
    "a folder": lambda path: path.mkdir(),
    "noise": lambda path: path.write_bytes(b"x" * 99),
    "too large": lambda path: os.truncate(path, 10**8),
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("name", ["arrays.h5", "result.json"])
def test_the_list_of_what_is_refused_is_published_and_names_no_folder(
    kind, name, results, tmp_path
):
    [path] = results.rglob(name)
    path.unlink()
    path.touch()
    if kind == "a folder":
        path.unlink()
    BROKEN[kind](path)
    found = recomputed(collect(results))
    assert found.refused and str(tmp_path) not in found.refused[0].reason
