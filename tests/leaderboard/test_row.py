from __future__ import annotations

from dataclasses import replace

from memtk.leaderboard.rows import make_rows


def test_seeds_of_one_entry_are_one_row(runs):
    rates = [(0.2, 0.1, 0.3), (0.4, 0.25, 0.6), (0.0, 0.0, 0.2)]
    entries = [("monai2d", {"seed": s, "rate": r}) for s, r in zip((2, 0, 1), rates, strict=True)]
    [row] = make_rows(runs(*entries, truth=False))
    assert row.seeds == "0, 1, 2"
    rate = row.copy_rate
    assert (round(rate.estimate, 9), rate.low, rate.high) == (0.2, 0.0, 0.6)
    assert row.values(lambda r: r.seed) == [0, 1, 2]


def test_a_seed_without_a_copy_rate_leaves_the_row_without_one(runs):
    [row] = make_rows(runs(("monai2d", {}), ("monai2d", {"seed": 1, "rate": None}), truth=False))
    assert row.copy_rate is None


def test_settings_versions_and_mitigations_make_other_rows(runs):
    rows = make_rows(
        runs(
            ("monai2d", {"config": {"diffusion": {"steps": 3}, "rate": 1}}),
            ("monai2d", {"config": {"diffusion": {"steps": 9}, "rate": 1}, "seed": 1}),
            ("monai2d", {"config": {"diffusion": {"steps": 9}}, "mitigations": ("augment",)}),
            ("other", {"config": {}}),
            truth=False,
        )
    )
    assert sorted((row.name, row.remarks) for row in rows) == [
        ("monai2d", "diffusion.steps 3"),
        ("monai2d", "diffusion.steps 9"),
        ("monai2d+augment", ""),
        ("other", ""),
    ]
    assert {row.mitigations for row in rows} == {"", "augment"}


def test_only_the_controls_of_memtk_are_rows_of_known_truth(runs):
    rows = make_rows(runs(("copycat", {"plugin": "theirs"}), ("monai2d", {})))
    truths = sorted((row.name, row.generator.plugin, row.truth) for row in rows)
    assert truths == [
        ("copycat", "theirs", ""),
        ("copycat", "toy", "about 100%"),
        ("independent", "toy", "about 0%"),
        ("monai2d", "monai", ""),
    ]


def test_a_control_whose_images_were_picked_is_no_known_truth(runs, tree):
    chosen = {**tree()["checkpoints"][0], "reevaluated": True}
    [row] = make_rows(
        runs(("copycat", {"plugin": "toy", "mitigations": ("screen",), "chosen": chosen}),
             truth=False)
    )  # fmt: skip
    assert row.truth == "" and row.remarks == "chosen by a score and judged anew"


def test_how_many_images_were_released_is_a_range_over_the_seeds(runs):
    def released(seed, count):
        [run] = runs(("monai2d", {"seed": seed}), truth=False)
        last = run.result.checkpoints[-1].model_copy(update={"n_synthetic": count})
        return replace(run, result=run.result.model_copy(update={"chosen": last}))

    [row] = make_rows([released(0, 19), released(1, 7), released(2, 12)])
    assert row.remarks == "7 to 19 of 20 images released"
    assert make_rows([released(0, 7)])[0].remarks == "7 of 20 images released"
    assert make_rows([released(0, 20)])[0].remarks == ""


def test_the_gravest_verdict_of_any_seed_is_that_of_the_row(runs):
    entries = [("monai2d", {"seed": 0}), ("monai2d", {"seed": 1, "copies": 12, "exposed": 11})]
    [row] = make_rows(runs(*entries, truth=False))
    assert row.verdict.kind == "memorized"


def test_settings_asked_for_beyond_the_preset_are_said_of_a_row_that_has_no_other_beside_it(runs):
    def asked(settings):
        config = {"multiples": [1], "rate": 1, "diffusion": {"steps": 3}}
        [run] = runs(("monai2d", {"config": config}), truth=False)
        request = {**(run.result.request or {}), "settings": settings}
        return [replace(run, result=run.result.model_copy(update={"request": request}))]

    table = {"multiples": [1], "diffusion": {"steps": 3}, "gone": 3}
    assert make_rows(asked({"monai2d": table}))[0].remarks == "multiples [1]"
    for none in ({}, {"other": table}, {"monai2d": "rate"}, {"monai2d": [{}]}):
        assert make_rows(asked(none))[0].remarks == ""
