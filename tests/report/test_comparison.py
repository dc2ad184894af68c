from __future__ import annotations

import re

import pytest
from rich.console import Console

from memtk.report import build_report
from memtk.report.bench import comparison_section, draw_side_by_side
from memtk.report.quality import compare_cells
from memtk.report.terminal_tables import comparison_table
from memtk.results import (
    MeasureInfo,
    MitigationEffect,
    RateInterval,
    read_run,
    write_arrays,
    write_result,
)
from memtk.testing import fakes

RATE = RateInterval(estimate=0.4, low=0.2, high=0.61)


def with_rate(result, **changes):
    """A result with a copy rate, and whatever else."""
    last = result.last
    test = last.evidence.model_copy(update={"copy_rate": RATE, "confidence": 0.95})
    measured = {"fid": MeasureInfo(real=1.5, better="lower")}
    last = last.model_copy(
        update={
            "evidence": test,
            "measure_info": measured,
        }
    )
    changes = {"checkpoints": [*result.checkpoints[:-1], last], **changes}
    return result.model_copy(update=changes)


@pytest.fixture
def sides(results):
    first, second = results
    return (
        with_rate(first, timing={"training a": 75.0}, training_stages=["training a"]),
        with_rate(second, cell="monai+smaller"),
    )


def printed(what, width=120):
    console = Console(record=True, width=width, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(what)
    return console.export_text()


def test_one_cell_is_not_compared(make_run, plain):
    assert "Side by side" not in build_report(make_run()).read_text()


def test_each_cell_has_memorization_quality_and_time_in_a_row(sides):
    found = compare_cells(sides)
    one, two = found.rows
    assert (one.cell, one.rate, one.time) == ("monai+aug", "40%", "1 min 15 s")
    assert one.bounds.startswith("95") and "20 to 61%" in one.bounds
    exposed = sides[0].last.evidence.exposed
    assert one.exposed == f"{exposed.low} to {exposed.high} of 24" and one.judged == 24
    assert one.qualities == ("6.25",) and two.time == "-"
    assert found.measures == (("fid", "lower is better", "1.5"),)


def test_the_picture_is_of_the_first_measure(sides):
    (figure,) = draw_side_by_side(compare_cells(sides))
    assert figure.alt.endswith("against fid") and figure.uri.startswith("data:image/svg+xml")


@pytest.mark.parametrize(("real", "drawn"), [(1.5, True), (None, False)])
def test_a_line_of_real_images_is_spoken_of_where_there_is_one(sides, real, drawn):
    info = {"fid": MeasureInfo(real=real, better="lower")}
    found = compare_cells(
        [
            s.model_copy(update={"checkpoints": [s.last.model_copy(update={"measure_info": info})]})
            for s in sides
        ]
    )
    (figure,) = draw_side_by_side(found)
    assert ("Dotted: what real images score in fid." in figure.caption) == drawn
    assert ("real images</th>" in comparison_section(found).body) == drawn


def test_without_quality_there_is_a_table_and_no_picture(sides):
    bare = [
        s.model_copy(update={"checkpoints": [s.last.model_copy(update={"quality": {}})]})
        for s in sides
    ]
    found = compare_cells(bare)
    assert draw_side_by_side(found) == [] and found.measures == () and len(found.rows) == 2


def test_the_terminal_says_the_same(sides):
    text = " ".join(printed(comparison_table(sides)).split())
    assert "40% [20-61]" in text and "monai+smaller" in text and "1 min 15 s" in text
    assert "fid: lower is better, real images 1.5" in text


def test_a_page_of_several_cells_shows_them_side_by_side(finished):
    page = (finished / "report.html").read_text()
    assert "Side by side" in page and "What the mitigations did" not in page


def test_a_page_tells_what_mitigations_did_and_what_was_judged_anew(make_run, plain):
    folder = make_run(cells={"monai": 0.6})
    (result,) = read_run(folder).results
    anew = result.last.model_copy(update={"reevaluated": True, "n_synthetic": 24})
    effect = MitigationEffect(  # the sentence of an older file
        mitigation="release-filter", text="9 of 24 were <held> back.", kept=15, of=24
    )
    home = folder / "cells" / "monai"
    changed = result.model_copy(update={"chosen": anew, "mitigation_effects": [effect]})
    write_result(home / "result.json", changed)
    from memtk.results import read_arrays

    write_arrays(home / "arrays.h5", "chosen", read_arrays(home / "arrays.h5", "step-000200"))
    page = build_report(folder).read_text()
    assert re.search(r"<dt>release-filter</dt><dd>9 of 24 were &lt;held&gt; back\.</dd>", page)
    assert "judged anew" in page and "the verdict is about that line" in page
    assert page.count('<th scope="row">200') == 2


def test_a_rate_by_readers_says_so_beside_one_that_is_not(make_run, plain):
    folder = make_run(cells={"monai": 0.6, "independent": 0.6})
    home = folder / "cells" / "monai"
    results = {each.cell: with_rate(each) for each in read_run(folder).results}
    last = results["monai"].last
    rule = fakes.audit().evidence.threshold.model_copy(update={"copies_read": 23})
    found = last.evidence.model_copy(update={"threshold": rule})
    last = last.model_copy(update={"evidence": found})
    checkpoints = [*results["monai"].checkpoints[:-1], last]
    results["monai"] = results["monai"].model_copy(update={"checkpoints": checkpoints})
    rows = {row.cell: row.bounds for row in compare_cells(list(results.values())).rows}
    assert "by readers" in rows["monai"] and "by readers" not in rows["independent"]
    text = printed(comparison_table(list(results.values())))
    assert text.count("by readers") == 3 and "by readers: sensitivity by readers" in text
    assert "by readers" not in printed(comparison_table([results["independent"]]))
    write_result(home / "result.json", results["monai"])
    page = build_report(folder).read_text()
    overview = re.search(r'<table class="overview">.*?</table>', page, re.DOTALL).group()
    one, other = (
        re.search(rf'<tr>\s*<th scope="row"><a href="[^"]*">{name}<.*?</tr>', overview, re.DOTALL)
        for name in ("monai", "independent")
    )
    assert "<small>sensitivity by readers</small>" in one.group()
    assert "by readers" not in other.group()
