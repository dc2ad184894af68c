from __future__ import annotations

from memtk.leaderboard import make_boards
from memtk.leaderboard.columns import copy_rate, exposed, shown


def texts(board, name):
    row = next(row for row in board.rows if row.name == name)
    said = {column.key: shown(column, row) for column in board.columns}
    return {key: (each.text, each.note) for key, each in said.items()}, row


def test_a_single_seed_shows_what_was_counted_and_what_chance_would_give(runs):
    [board] = make_boards(runs(("monai2d", {"copies": 5, "exposed": 3})))
    said, row = texts(board, "monai2d")
    assert said["dar:n_mem"] == ("5%", "1 of 20; by chance 5%")
    assert said["dar-matched:n_mem"] == ("5%", "by chance 5%")
    assert said["seconds"] == ("2.5 s", "")
    rate = copy_rate(row)
    assert (rate.value, rate.text, rate.note) == (0.1, "10%", "0 to 20%")
    people = exposed(row)
    assert (people.value, people.text, people.note) == (3 / 20, "3 to 6", "of 20")


def test_several_seeds_show_their_mean_and_range(runs):
    entries = [("monai2d", {"seed": s, "exposed": c}) for s, c in ((0, 2), (1, (4, 9)))]
    [board] = make_boards(runs(*entries))
    said, row = texts(board, "monai2d")
    assert exposed(row).text == "2 to 9", "the lowest lower and the highest upper end"
    assert said["dar:n_mem"] == ("5%", "by chance 5%")  # all seeds the same


def test_what_was_not_tested_is_no_zero(runs, tree):
    untested = tree(exposed=None)["checkpoints"]
    entries = [("monai2d", {"checkpoints": untested}), ("other", {}), ("other", {"seed": 1})]
    entries[2][1]["checkpoints"] = untested
    [board] = make_boards(runs(*entries))
    for name, note in (("monai2d", "not tested"), ("other", "not computed")):  # of every seed
        people = exposed(texts(board, name)[1])
        assert (people.value, people.text, people.note) == (None, "–", note)
    assert copy_rate(texts(board, "monai2d")[1]).text == "10%"


def test_quality_has_a_column_by_measure_with_what_real_images_score(runs, tree):
    made = tree(quality={"ms-ssim": 0.4, "fid[net]": 7.25})["checkpoints"][0]
    made["measure_info"] = {"fid[net]": {"real": 1.5, "extractor": "net"}}
    [board] = make_boards(runs(("monai2d", {"checkpoints": [made]}), ("other", {})))
    assert [c.label for c in board.columns if c.group == "quality"] == ["fid[net]", "ms-ssim"]
    said, _ = texts(board, "monai2d")
    assert said["quality fid[net]"] == ("7.25", "real images 1.5")
    assert said["quality ms-ssim"] == ("0.4", "")
    assert texts(board, "other")[0]["quality ms-ssim"] == ("–", "")


def test_what_real_images_score_is_a_range_over_the_seeds(runs, tree):
    entries = []
    for seed, real in enumerate((1.5, 0.25, 1.0)):
        made = tree(quality={"fid[net]": 7.25})["checkpoints"][0]
        made["measure_info"] = {"fid[net]": {"real": real, "extractor": "net"}}
        entries.append(("monai2d", {"seed": seed, "checkpoints": [made]}))
    [board] = make_boards(runs(*entries))
    assert texts(board, "monai2d")[0]["quality fid[net]"] == ("7.25", "real images 0.25 to 1.5")


def test_a_seed_that_lacks_a_number_is_told(runs):
    entries = [("monai2d", {"seed": s, "quality": q}) for s, q in ((0, {"x": 2.0}), (1, {}))]
    [board] = make_boards(runs(*entries))
    assert texts(board, "monai2d")[0]["quality x"] == ("2", "1 of 2 seeds")


def test_an_attack_has_a_column_with_its_interval(runs):
    found = {
        "member_images": 5, "member_patients": 5, "non_member_images": 5, "non_member_patients": 5,
        "confidence": 0.95, "auc": {"estimate": 0.7, "low": 0.6, "high": 0.8},
    }  # fmt: skip
    [board] = make_boards(runs(("monai2d", {"membership": {"loss": found}}), ("other", {})))
    assert texts(board, "monai2d")[0]["auc loss"] == ("0.7", "0.60 to 0.80; by chance 0.5")
    assert texts(board, "other")[0]["auc loss"] == ("–", "")
    assert not [key for key in texts(board, "monai2d")[0] if key.startswith("epsilon")]


def test_a_bound_of_epsilon_has_a_column_beside_the_accountants(runs):
    bound = {
        "low": 1.25, "largest": 2.53, "delta": 0, "confidence": 0.95, "patients": 64,
        "took_part": 30, "tried": [{"count": 48, "right": 40}],
    }  # fmt: skip
    found = {
        "member_images": 5, "member_patients": 5, "non_member_images": 5, "non_member_patients": 5,
        "confidence": 0.95, "epsilon": bound,
    }  # fmt: skip
    [board] = make_boards(runs(("monai2d", {"membership": {"loss": found}}), ("other", {})))
    assert texts(board, "monai2d")[0]["epsilon loss"] == ("1.25", "")
    assert texts(board, "other")[0]["epsilon loss"] == ("–", "")
