from __future__ import annotations

import re

import pytest
from rich.console import Console

from memtk.report.figures import draw_quality
from memtk.report.quality import compare_cells, features_word, quality_rows
from memtk.report.terminal import summary
from memtk.report.terminal_tables import compared, quality_table
from memtk.results import MeasureInfo, Used
from memtk.results.formats import number


@pytest.fixture
def measured(results):
    """A result with a measure of features, one that is undefined, and one of an older file."""
    result = results[0]
    checkpoints = [
        c.model_copy(
            update={
                "quality": {"fid[medicalnet3d]": 3.25 / (i + 1), "old": 7.0},
                "measure_info": {
                    "fid[medicalnet3d]": MeasureInfo(
                        real=1.5, better="lower", against="validation images", note="Few <images>."
                    ),
                    "ct[medicalnet3d]": MeasureInfo(real=0.0, better="real", note="Not computed."),
                },
            }
        )
        for i, c in enumerate(result.checkpoints)
    ]
    extractor = Used(name="medicalnet3d", plugin="pretrained", distribution="memtk", version="1")
    parts = result.components.model_copy(update={"extractor": extractor})
    return result.model_copy(
        update={"checkpoints": checkpoints, "components": parts, "extractor_trained_on": "given"}
    )


def text_of(shown_thing):
    console = Console(width=100, record=True, file=None, quiet=False)
    with console.capture() as capture:
        console.print(shown_thing)
    return capture.get()


def test_a_row_has_every_checkpoint_the_line_and_which_way_is_better(measured):
    rows = {row.name: row for row in quality_rows(measured.evaluated)}
    fid = rows["fid[medicalnet3d]"]
    assert fid.values == (3.25, 1.625) and fid.real == 1.5 and fid.good == "lower is better"
    assert fid.against == "validation images" and fid.note == "Few <images>."


def test_a_measure_without_a_number_keeps_its_word(measured):
    row = next(r for r in quality_rows(measured.evaluated) if r.name.startswith("ct"))
    assert row.values == (None, None) and row.note == "Not computed." and row.sign == "≈"


def test_a_number_of_an_older_file_has_no_line(measured):
    row = next(r for r in quality_rows(measured.evaluated) if r.name == "old")
    assert row.values == (7.0, 7.0) and row.real is None and row.good == row.note == ""


def test_a_bare_number_of_a_plugin_does_not_say_which_values_are_good(measured):
    quality = {"quality": {"mine": 0.2}, "measure_info": {"mine": MeasureInfo()}}
    last = measured.last.model_copy(update=quality)
    row = quality_rows([last])[0]
    assert row.name == "mine" and row.good == row.sign == ""
    cell = measured.model_copy(update={"checkpoints": [last]})
    assert compare_cells([cell]).measures == (("mine", "which way is better is not known", "–"),)


def test_the_page_says_what_the_extractor_has_seen(measured, results):
    extractor = measured.components.extractor
    assert "came trained on other people" in features_word(extractor, "given")
    assert "too severe" in features_word(extractor, "training") and features_word(None, None) == ""


def test_the_terminal_shows_the_line_in_brackets(measured):
    text = text_of(quality_table([measured]))
    assert "fid[medicalnet3d] ↓" in text and "1.625 [1.5]" in text and "real images" in text
    assert "– [0]" in text and number(None) == "–"


def test_many_cells_stand_below_each_other_with_a_table_for_every_four_measures(measured):
    cells = [measured.model_copy(update={"cell": f"cell{number}"}) for number in range(4)]
    few, many = text_of(quality_table(cells[:3])), text_of(quality_table(cells))
    assert re.search(r"^ quality +cell0 +cell1 +cell2 *$", few, re.M)
    assert few.count("1.625 [1.5]") == 3 and many.count("1.625 [1.5]") == 4
    number = len(re.findall(r"^ *quality ", many, re.M))
    measures = len(re.findall(r"[↑↓≈] ", few.split("[in brackets")[0]))
    assert number == -(-measures // 4) == len(re.findall("^ cell3 ", many, re.M))


def test_what_stands_side_by_side_already_is_not_shown_twice(measured):
    other = measured.model_copy(update={"cell": "other"})
    several, alone = text_of(summary([measured, other])), text_of(summary([measured]))
    for name in ("fid[medicalnet3d]", "ct"):
        assert re.search(rf"^ {re.escape(name)}\S* ", alone, re.M)
    shown_above = compared([measured, other])
    assert shown_above
    for name in shown_above:
        assert not re.search(rf"^ {re.escape(name)} ", several, re.M)


def test_a_run_without_measures_has_no_table(results):
    bare = [c.model_copy(update={"quality": {}}) for c in results[0].checkpoints]
    assert quality_table([results[0].model_copy(update={"checkpoints": bare})]) is None


def test_the_figure_shows_each_measure_over_the_checkpoints(measured):
    rows = quality_rows(measured.evaluated)
    picture = draw_quality(measured, rows)
    assert picture is not None and picture.startswith("data:image/svg+xml")
    assert picture == draw_quality(measured, rows)
    without = [r for r in rows if r.name.startswith("ct")]
    assert draw_quality(measured, without) is None
    first = measured.model_copy(update={"checkpoints": measured.checkpoints[:1]})
    assert draw_quality(first, rows) is None


def test_the_report_shows_notes_as_text_and_the_line(make_run, plain, measured):
    from memtk.report import build_report
    from memtk.results import read_run, write_result

    folder = make_run(cells={"monai": 0.6})
    result = read_run(folder).results[0]
    update = {
        "checkpoints": measured.checkpoints,
        "components": measured.components,
        "extractor_trained_on": "training",
    }
    write_result(folder / "cells/monai/result.json", result.model_copy(update=update))
    html = build_report(folder).read_text()
    assert "fid[medicalnet3d]" in html and "Few &lt;images&gt;." in html and "<images>" not in html
    assert (
        "lower is better" in html and "too severe" in html and "against validation images" in html
    )
