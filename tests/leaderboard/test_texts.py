"""The leaderboard as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
import random
from dataclasses import replace
from pathlib import Path

from memtk.leaderboard import (
    Refused,
    collect,
    collect_files,
    completed,
    make_boards,
    markdown,
    recomputed,
    spreadsheet,
)
from memtk.registry import open_registry

ENTRIES = (
    ("monai2d", {"rate": (0.2, 0.1, 0.3), "copies": 4}),
    ("monai2d", {"rate": (0.4, 0.3, 0.5), "copies": 8, "seed": 1}),
    ("other", {"rate": (0.9, 0.8, 1.0), "mitigations": ("augment",), "quality": {"fid[x]": 3.5}}),
)


def test_markdown_shows_every_row_with_interval_null_and_seeds(runs):
    text = markdown(make_boards(runs(*ENTRIES)))
    lines = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert len({len(line) for line in lines}) == 1
    names = [line[1] for line in lines[2:]]
    assert names == ["independent", "monai2d", "other", "copycat"]
    row = lines[3]
    assert row[:3] == ["| 1", "monai2d", "–"] and row[4:6] == ["30%", "10 to 50%"]
    assert "30% (20 to 40%)" in row and "5% (by chance 5%)" in row and "0, 1" in row
    assert lines[4][0] == "| 2" and lines[4][2] == "augment"
    assert lines[2][0] == "| control: about 0%" and lines[5][0] == "| control: about 100%"


def test_what_must_be_known_of_rows_stands_once_below_the_table(runs):
    apart = {"synthetic": (0.0005, 0.9, False)}
    text = markdown(make_boards(runs(("a", {"rate": (0.1, 0, 0.2)}), ("b", apart), ("c", apart))))
    assert text.count("no rank: its images are unlike the data") == 1
    rows = [line for line in text.splitlines() if line.startswith("| ")][2:]
    assert [row.split(" | ")[1] for row in rows] == ["independent", "a", "copycat", "b¹", "c¹"]
    assert [row.split(" | ")[0] for row in rows[3:]] == ["| no rank", "| no rank"]


def test_the_tables_question_is_answered_above_it(runs):
    wide = ("wide", {"rate": (0.2, 0.1, 0.6)})
    text = markdown(make_boards(runs(("low", {"rate": (0.1, 0.05, 0.15)}), wide)))
    assert "low and wide give back the fewest copies, 10 to 20%, and cannot be told apart." in text
    worse = ("worse", {"rate": (0.5, 0.4, 0.6)})
    text = markdown(make_boards(runs(("low", {"rate": (0.1, 0.05, 0.15)}), worse)))
    assert "low gives back the fewest copies, 10%.\n" in text


def test_the_verdict_says_why_and_in_how_many_seeds(runs):
    rate, more = {"rate": (0.006, 0.0, 0.12)}, {"copies": 2, "exposed": 2}
    seeds = [("few", {"seed": seed, **rate, **(more if not seed else {})}) for seed in range(3)]
    text = markdown(make_boards(runs(*seeds, ("open", rate))))
    cells = {row.split(" | ")[1]: row.split(" | ")[3] for row in text.splitlines() if " | " in row}
    assert cells["few"] == "Memorized: exposed patients in 1 of 3 seeds"
    assert cells["open"] == "Inconclusive: exposed patients not ruled out"
    assert cells["copycat"] == "Memorized: copies, exposed patients"


def test_a_table_without_ranks_says_why_and_what_gives_one(runs):
    def said(*entries, unproven=""):
        [board] = make_boards([replace(run, unproven=unproven) for run in runs(*entries)])
        return board.answer

    assert said() == ("No row has a rank: only controls are here; bench a generator beside them.")
    old = said(("a", {}), ("b", {}), unproven="its arrays are not beside it")
    assert "the files of 2 entries lack what proves a copy rate" in old and "bench again" in old
    assert "the images of 1 entry are unlike the data" in said(
        ("noise", {"synthetic": (0.0005, 0.9, False)})
    )
    assert "1 entry without a copy rate" in said(("older", {"rate": None}))


def test_markup_in_a_file_stays_text(runs):
    text = markdown(
        make_boards(runs(("monai2d", {}), truth=False)),
        [Refused("x/`r`", "a|b<script>\n# no"), Refused("y", "![x](https://a.b) www.c.d @me")],
    )
    assert "- x/\\`r\\`: a\\|b\\<script\\> \\# no" in text and "<script>" not in text
    assert "https://" not in text and "www." not in text and "@" not in text


def test_tables_apart_say_why(runs):
    other = {"suite": {"name": "phantom2d", "version": "2"}}
    text = markdown(make_boards(runs(("monai2d", {}), ("monai2d", other), truth=False)))
    assert text.count("Kept apart from its neighbours by benchmark.") == 2
    assert text.count("embedder trained on training images") == 1  # what all share is said once
    assert text.count("> It lacks the controls copycat and independent: nothing shows that") == 2
    assert "## phantom2d, version 1\n" in text and "## phantom2d, version 2\n" in text


def test_csv_holds_plain_numbers(runs):
    boards = make_boards(runs(*ENTRIES))
    rows = list(csv.DictReader(io.StringIO(spreadsheet(boards))))
    assert [row["generator"] for row in rows] == ["independent", "monai2d", "other", "copycat"]
    row = rows[1]
    assert (row["N"], row["M"], row["V"], row["dims"]) == ("20", "20", "20", "2D")
    assert (row["rank_best"], row["rank_worst"], row["seeds"]) == ("1", "1", "0, 1")
    assert float(row["copy_rate_low"]) == 0.1 and float(row["copy_rate_high"]) == 0.5
    assert (row["exposed_low"], row["exposed_high"], row["training_patients"]) == ("0", "3", "20")
    assert row["quality fid[x]"] == "" and float(rows[2]["quality fid[x]"]) == 3.5
    assert rows[0]["rank_best"] == "" and rows[0]["truth"] == "about 0%"
    assert {row["table"] for row in rows} == {boards[0].key}


def test_a_name_is_no_formula_for_a_spreadsheet_program(runs):
    [run] = runs(("monai2d", {}), truth=False)
    [checkpoint] = run.result.checkpoints
    tables = {"=cmd()": checkpoint.protocols["dar"]}
    changed = checkpoint.model_copy(update={"protocols": tables})
    used = run.result.components.generator.model_copy(update={"version": "@SUM(1)"})
    parts = run.result.components.model_copy(update={"generator": used})
    update = {"checkpoints": [changed], "components": parts}
    run = replace(run, result=run.result.model_copy(update=update), images="+1")
    rows = list(csv.reader(io.StringIO(spreadsheet(make_boards([run])))))
    cells = [cell for row in rows for cell in row]
    assert {"'=cmd():n_mem", "'=cmd():n_mem null", "'@SUM(1)"} <= {*cells}
    assert not [cell for cell in cells if cell[:1] in ("=", "+", "@")]


def test_the_order_and_the_names_of_files_change_no_byte(write):
    folder = write(*ENTRIES)
    files = sorted(folder.rglob("result.json"))
    boards = make_boards(collect_files(folder, files).runs)
    for seed in range(3):
        random.Random(seed).shuffle(files)
        moved = []
        for number, path in enumerate(files):
            place = folder.with_name(f"moved{seed}") / f"{number}" / "result.json"
            place.parent.mkdir(parents=True)
            place.write_bytes(path.read_bytes())
            moved.append(place)
        again = make_boards(collect_files(folder, moved).runs)
        assert markdown(again) == markdown(boards)
        assert spreadsheet(again) == spreadsheet(boards)


def test_the_tables_of_this_repository_are_those_of_its_results():
    folder = Path(__file__).parents[2] / "benchmarks"
    found = recomputed(completed(collect(folder / "results"), open_registry()))
    made = markdown(make_boards(found.runs), found.refused)
    assert not found.refused
    assert (folder / "LEADERBOARD.md").read_text() == made, "run `make leaderboard`"


def test_suites_without_a_row_are_named_where_others_have_one():
    results = Path(__file__).parents[2] / "benchmarks/results/phantom2d-1"
    text = markdown(make_boards(collect(results).runs))
    assert "Suites without a row yet: chest-xray, hippocampus, mrnet and phantom3d. " in text
    assert "without a row" not in markdown([])
