from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from memtk.config import differing
from memtk.leaderboard import collect, make_boards

OLD = Path(__file__).parents[1] / "results/result-schema-2.json"

OTHER = {
    "benchmark": {"suite": {"name": "phantom2d", "version": "2"}},
    "images": {"data": {"fingerprint": "ff"}},
    "embedder": {"components": {"embedder": {"config": {"width": 64, "training": {"steps": 9}}}}},
    "embedder trained on": {"embedder_trained_on": {"copies": "given"}},
    "similarity": {"components": {"similarity": {"name": "cosine"}}},
    "copies planted": {"selftest": None},
}


def test_what_can_be_compared_stands_in_one_table(runs):
    entries = (("monai2d", {"preset": "demo"}), ("other", {}), ("monai2d", {"seed": 4}))
    [board] = make_boards(runs(*entries))
    assert [row.name for row in board.rows] == ["independent", "monai2d", "other", "copycat"]
    assert not board.reasons and not board.cautions and not board.remedy
    assert board.title == (
        "2D, 32 × 32 · 20 training, 20 synthetic, 20 validation images (20 training, 20 "
        "validation patients) · embedder ntxent2d · preset demo, smoke"
    )


@pytest.mark.parametrize("name", OTHER)
def test_what_cannot_be_compared_is_kept_apart_and_says_why(runs, name):
    boards = make_boards(runs(("monai2d", {}), ("monai2d", OTHER[name]), truth=False))
    assert len(boards) == 2
    for board in boards:
        [reason] = board.reasons
        assert reason.startswith(f"{name}: {board.conditions[name]} here, ")
    if name == "embedder":
        assert "(training.steps, width)" in boards[0].reasons[0]


def test_sizes_keep_apart(runs, tree):
    fewer = {"used_training": {"images": 10, "patients": 10}}
    checkpoint = tree()["checkpoints"][0]
    for name in ("training_images", "patients", "exposed"):
        checkpoint["evidence"][name]["of"] = 10
    checkpoint["evidence"]["reference_n_mem"] = 1
    for table in checkpoint["protocols"].values():
        for record in table.values():
            if record["side"] == "training":
                count = record["count"] and record["count"] / abs(record["count"])
                record |= {"of": 10, "count": count, "value": count / 10}
    entries = (("monai2d", {}), ("monai2d", {**fewer, "checkpoints": [checkpoint]}))
    boards = make_boards(runs(*entries, truth=False))
    reasons = {reason.partition(":")[0] for board in boards for reason in board.reasons}
    assert len(boards) == 2 and reasons == {"sizes", "patients"}


def test_older_files_and_other_levels_keep_apart(write, tree):
    made = tree()["checkpoints"][0]
    made["evidence"]["confidence"] = 0.9
    folder = write(("a", {}), ("b", {}), ("c", {"checkpoints": [made]}), truth=False)
    old = json.loads(OLD.read_text())
    old["checkpoints"] = old["checkpoints"][-1:]
    (folder / "01/result.json").write_text(json.dumps(old))
    boards = make_boards(collect(folder).runs)
    names = {reason.partition(":")[0] for board in boards for reason in board.reasons}
    assert len(boards) == 3 and {"schema of the files", "levels", "who is named"} <= names


def test_the_own_data_of_two_people_are_not_told_apart_from_each_other(runs):
    mine, theirs = ({"suite": None, "data": {"fingerprint": letter * 64}} for letter in ("a", "b"))
    boards = make_boards(runs(("a", mine), ("b", theirs), ("c", mine), truth=False))
    assert [board.benchmark for board in boards] == ["own data, aaaaaaaa", "own data, bbbbbbbb"]
    assert not any(board.reasons for board in boards)


def test_suites_are_not_told_apart_from_each_other(runs):
    other = {"suite": {"name": "elsewhere", "version": "1"}}
    boards = make_boards(runs(("a", {}), ("b", other), truth=False))
    assert [board.suite for board in boards] == ["elsewhere", "phantom2d"]
    assert not any(board.reasons for board in boards)


def test_rows_are_ordered_by_copy_rate_and_ties_not_ranked_apart(runs):
    [board] = make_boards(
        runs(
            ("low", {"rate": (0.1, 0.05, 0.15)}),
            ("wide", {"rate": (0.2, 0.1, 0.6)}),
            ("high", {"rate": (0.5, 0.4, 0.7)}),
            ("older", {"rate": None}),
        )
    )
    assert [(row.name, str(rank)) for row, rank in zip(board.rows, board.ranks, strict=True)] == [
        ("independent", "None"),
        ("low", "1–2"),
        ("wide", "1–3"),
        ("high", "2–3"),
        ("copycat", "None"),
        ("older", "None"),
    ]


FAR = (0.0005, 0.9, False)
"""What the test of the synthetic images against strangers gives for noise."""


def test_images_that_resemble_nothing_are_shown_last_and_not_ranked(runs):
    entries = {
        "noise": {"rate": (0.0, 0.0, 0.05), "synthetic": FAR},
        "other": {"rate": (0.3, 0.2, 0.4), "synthetic": (0.0005, 0.9, True)},  # as blur is
        "apart": {"rate": (0.1, 0.05, 0.15), "synthetic": (0.0005, 0.25, False)},
        "some": {"rate": (0.5, 0.45, 0.6), "synthetic": (0.03, 0.9, False)},
    }
    [board] = make_boards(runs(*entries.items()))
    assert [(row.name, str(rank)) for row, rank in zip(board.rows, board.ranks, strict=True)] == [
        ("independent", "None"), ("apart", "1"), ("other", "2"), ("some", "3"),
        ("copycat", "None"), ("noise", "None"),
    ]  # fmt: skip
    said = board.rows[-1].remarks
    assert said.startswith("no rank: its images are unlike the data") and "90%" in said


def test_one_seed_that_resembles_nothing_keeps_a_row_from_a_rank(runs):
    entries = (("gan", {}), ("gan", {"seed": 1, "synthetic": FAR}))
    [board] = make_boards(runs(*entries))
    assert [str(rank) for rank in board.ranks] == ["None"] * 3
    assert board.rows[-1].seeds == "0, 1" and board.rows[-1].unlike


def test_a_control_stays_what_it_is_whatever_its_images_resemble(runs):
    control = {"plugin": "toy", "rate": (0.0, 0.0, 0.1), "synthetic": FAR}
    [board] = make_boards(runs(("independent", control), truth=False))
    assert not board.rows[0].unlike and board.rows[0].truth


def test_a_table_without_known_truth_says_so_and_how_to_add_it(runs):
    [board] = make_boards(runs(("monai2d", {}), ("copycat", {"plugin": "toy", "rate": (1, 1, 1)}),
                               truth=False))  # fmt: skip
    assert board.cautions == (
        "It lacks the control independent: nothing shows that it finds none where there are none.",
    )
    words = board.remedy.replace("\\\n", "").split()
    assert words[:4] == ["memtk", "bench", "--generator", "independent"]
    assert words[words.index("--suite") :][:2] == ["--suite", "phantom2d"]
    assert words[words.index("--preset") :][:2] == ["--preset", "smoke"]
    assert "copycat" not in words and "monai2d" not in words


def test_a_control_that_cannot_be_run_on_the_images_is_not_asked_for(runs):
    copycat = ("copycat", {"plugin": "toy", "rate": (1, 1, 1), "suite": None})
    held_out = {"data": {"counts": {"held_out": {"images": 20, "patients": 20}}}}
    for data, asked in (({}, False), (held_out, True)):
        [board] = make_boards(
            runs(("monai2d", {"suite": None}), copycat, truth=False, folder=str(asked), **data)
        )
        assert bool(board.remedy) == asked and "independent" in board.cautions[0]
        assert ("these data lack them" in board.cautions[0]) != asked


def test_rows_that_were_not_computed_again_stand_last_without_a_rank(runs):
    entries = (("a", {"rate": (0.1, 0.0, 0.2)}), ("b", {"rate": (0.3, 0.2, 0.4)}))
    made = [
        replace(run, unproven="its arrays are not beside it") if run.result.cell == "a" else run
        for run in runs(*entries)
    ]
    [board] = make_boards(made)
    assert [row.name for row in board.rows] == ["independent", "b", "copycat", "a"]
    assert str(board.ranks[-1]) == "None"
    assert board.notes == (("no rank: its arrays are not beside it", (board.rows[-1],)),)


def test_the_remedy_of_own_data_leaves_their_place_to_the_reader(runs, tree):
    asked = tree()["request"] | {
        "data": {"source": "(not shown)", "validation_source": "(not shown)"}
    }
    own = {"suite": None, "request": asked}
    own |= {"data": {"counts": {"held_out": {"images": 20, "patients": 20}}}}
    [board] = make_boards(runs(("monai2d", own), truth=False))
    assert "--data YOUR_DATA" in board.remedy and "data.validation_source=..." in board.remedy
    assert "(not shown)" not in board.remedy


@pytest.mark.parametrize(
    ("name", "rate", "said"),
    [("copycat", (0.5, 0.4, 0.6), "about 100%"), ("independent", (0.5, 0.4, 0.6), "about 0%")],
)
def test_a_control_that_does_not_score_as_it_must_is_named(runs, name, rate, said):
    both = {"copycat": (1.0, 0.9, 1.0), "independent": (0.0, 0.0, 0.2)} | {name: rate}
    entries = [(n, {"plugin": "toy", "rate": r}) for n, r in both.items()]
    [board] = make_boards(runs(("monai2d", {}), *entries, truth=False))
    [caution] = board.cautions
    assert name in caution and said in caution and "do not trust" in caution


def test_differences_are_found_at_any_depth():
    assert differing({"a": {"b": 1}}, {"a": {"b": 1}}) == []
    assert differing({"a": 1}, {"a": {"b": 1}}) == [("a", 1, {"b": 1})]
