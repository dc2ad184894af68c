"""`--sensitivity readers`: the copy rate corrected by what people found, and said so everywhere."""

from __future__ import annotations

import csv
import html
import io
import re

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

import memtk
from memtk.cli import cli
from memtk.evaluation.recompute import evidence_again, recompute
from memtk.leaderboard import collect, make_boards, markdown, spreadsheet, write_site
from memtk.memorization import PatientGroup, ReadPairs, copy_rate
from memtk.noise import derive
from memtk.report import build_audit_report, build_report
from memtk.report.counts import Told
from memtk.report.terminal import audit_summary, summary
from memtk.results import read_arrays, read_audit, read_result
from memtk.results.answer import answer_audit
from memtk.results.validate import validate
from memtk.results.verdicts import explain, grounds
from memtk.reviewing import readers_arrays
from memtk.testing import fakes


def read_all(run, **asked):
    """A reader who calls a pair a copy where there is hardly any difference."""
    reading = memtk.review(run, over="synthetic", controls=2, **asked)
    labels = {}
    for name in reading.pairs:
        first, second = reading.images(name)
        labels[name] = "copy" if abs(first - second).mean() < 0.06 else "novel"
    reading.label("anna", labels)
    return reading


def recomputed(run, *words, code=0):
    words = ["results", "recompute", str(run), "--evidence", *words]
    done = CliRunner().invoke(cli, words, env={"COLUMNS": "200"})
    assert done.exit_code == code, done.output
    return re.sub(r"\s+", " ", done.output)


def shown(renderable):
    console = Console(record=True, width=100)
    console.print(renderable)
    return re.sub(r"\s+", " ", console.export_text())


def test_the_copy_rate_is_that_of_the_readers_labels(runs):
    reading = read_all(runs / "solid", pairs=30)
    before = read_audit(runs / "solid/audit.json")
    assert "sensitivity by readers" in recomputed(runs / "solid", "--sensitivity", "readers")
    after = read_audit(runs / "solid/audit.json")
    arrays = read_arrays(runs / "solid/arrays.h5", "audit")
    rows = np.array([pair.other for pair in reading.draw.drawn])
    said = [reading.reviewed.read(pair) for pair in reading.draw.drawn]
    copy = np.array([abs(a - b).mean() < 0.06 for a, b in said])
    near = arrays["synthetic_train"]
    pairs = ReadPairs(near[rows], copy, np.zeros(30, int), np.array([len(near)]))
    threshold = before.evidence.threshold.similarity
    seed = derive(after.seed, "intervals")
    strangers = PatientGroup(arrays["validation_train"])
    wanted = copy_rate(near, strangers, pairs, threshold=threshold, seed=seed)
    rate, rule = after.evidence.copy_rate, after.evidence.threshold
    assert rule.similarity == threshold  # readers have no part in it
    assert rule.copies_read == copy.sum() and rule.sensitivity == pairs.sensitivity(threshold)
    assert rate.high == pytest.approx(wanted.high)
    assert rate.low == before.evidence.copy_rate.low  # counted and named without a sensitivity
    least = after.evidence.copies
    assert rate.estimate == max(wanted.estimate, max(least.at_least, least.sure) / least.of)


def test_it_stays_until_planted_copies_are_asked_for_again(runs):
    read_all(runs / "solid", pairs=30)
    path = runs / "solid/audit.json"
    before = read_audit(path)
    recomputed(runs / "solid")
    plain = read_audit(path)
    recomputed(runs / "solid", "--sensitivity", "readers")
    by_readers = read_audit(path)
    recomputed(runs / "solid")
    assert read_audit(path).evidence == by_readers.evidence != plain.evidence
    recomputed(runs / "solid", "--sensitivity", "planted")
    assert read_audit(path).evidence == plain.evidence
    assert not before.evidence.by_readers and not plain.evidence.by_readers


def test_it_is_named_in_every_place_where_a_copy_rate_stands(runs):
    read_all(runs / "solid", pairs=30)
    recomputed(runs / "solid", "--sensitivity", "readers")
    page = html.unescape(build_audit_report(runs / "solid").read_text())
    assert page.count("sensitivity by readers") >= 2
    assert "that readers called a copy" in page and "of the planted copies. It was" not in page
    audit = read_audit(runs / "solid/audit.json")
    assert "sensitivity by readers" in shown(audit_summary(audit))
    read_all(runs / "flat", pairs=30)
    recomputed(runs / "flat", "--sensitivity", "readers")
    path = runs / "flat/cells/monai/result.json"
    assert "sensitivity by readers" in build_report(runs / "flat").read_text()
    assert "sensitivity by readers" in shown(summary([read_result(path)]))
    handed_in = runs.parent / "handed-in"
    CliRunner().invoke(cli, ["results", "add", str(runs / "flat"), str(handed_in)])
    site = write_site(collect(handed_in), runs.parent / "site").read_text()
    assert "sensitivity by readers" in site
    boards = make_boards(collect(handed_in).runs)
    assert "sensitivity by readers" in markdown(boards)
    [row] = csv.DictReader(io.StringIO(spreadsheet(boards)))
    assert row["copy_rate"] and row["copy_rate_note"] == "sensitivity by readers"


RATE = re.compile(r"copy rate (is|may be)|share of copies is|confidence at most .* are copies")


@pytest.mark.parametrize(
    "said",
    [
        {},  # it passes
        {"estimate": 0.4, "low": 0.2, "bound": 0.6, "exposed": (5, 9), "copies": 4},
        {"estimate": 0.4, "low": 0.2, "bound": 0.6, "exposed": (0, 9), "copies": 4},
        {"estimate": 0.03, "low": 0.0, "bound": 0.2},
    ],
)
def test_it_is_named_in_every_sentence_that_says_a_copy_rate(said):
    read = fakes.audit().evidence.threshold.model_copy(update={"copies_read": 23})
    audit = fakes.audit(**said, threshold=read)
    answer = answer_audit(audit)
    first = re.split(r"(?<=\.) (?=[A-Z])", f"{explain(audit)} {answer.first}")
    texts = [text for text in (*first, *audit.verdict.reasons, *answer.why) if RATE.search(text)]
    assert len(texts) >= 3
    for text in texts:
        assert "sensitivity by readers" in text or "its sensitivity from readers" in text, text


def test_copy_rates_of_groups_are_said_to_be_by_planted_copies_all_the_same():
    plain = fakes.audit()
    read = plain.evidence.threshold.model_copy(update={"copies_read": 23})
    planted = "sensitivity from planted copies, not from readers"
    assert planted in Told.of(fakes.audit(threshold=read)).remarks()
    assert planted not in Told.of(plain).remarks()


def test_a_result_by_readers_still_follows_from_its_arrays(runs):
    read_all(runs / "flat", pairs=30)
    recomputed(runs / "flat", "--sensitivity", "readers")
    path = runs / "flat/cells/monai/result.json"
    result = read_result(path)
    again = evidence_again(result, read_arrays(path.with_name("arrays.h5"), result.last.label))
    assert again.by_readers and again.copy_rate == result.last.evidence.copy_rate
    assert not result.checkpoints[0].evidence.by_readers  # whose pairs nobody has read
    [check] = [c for c in validate(path).checks if c.name.startswith("arrays.h5")]
    assert check.outcome == "ok"


def test_a_stratified_reading_carries_its_weights_along(runs):
    read_all(runs / "flat", pairs=20, stratified=True)
    arrays = readers_arrays(runs / "flat/cells/monai/result.json", "step-000200")
    assert arrays["read_sizes"].sum() == 40 and len(arrays["read_sizes"]) > 1
    assert len(arrays["read_copy"]) == 20
    assert recompute(runs / "flat", [], evidence=True, readers=readers_arrays, write=False)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (None, "nobody has read pairs of"),
        ({"over": "training"}, "drawn over training images.*--over synthetic"),
        ({"over": "synthetic"}, "have called none of 0 pairs a copy"),
    ],
)
def test_what_cannot_correct_a_copy_rate_is_refused(runs, asked, says):
    if asked:
        memtk.review(runs / "solid", pairs=5, **asked)
    before = (runs / "solid/audit.json").read_bytes()
    assert re.search(says, recomputed(runs / "solid", "--sensitivity", "readers", code=2))
    assert (runs / "solid/audit.json").read_bytes() == before
    done = CliRunner().invoke(
        cli, ["results", "recompute", str(runs), "--protocol", "dar", "--sensitivity", "planted"]
    )
    assert done.exit_code == 2 and "goes with --evidence" in done.output


def test_a_pass_names_the_readers_in_place_of_its_tipping_point():
    from memtk.results import Policy
    from memtk.results.case import Case

    audit = fakes.audit()
    case = Case(Policy(), audit.evidence, audit.selftest, audit.counts, 0, None)
    assert "It stays tolerable as long as at least" in grounds(case)[0].way
    rule = audit.evidence.threshold.model_copy(update={"copies_read": 23, "sensitivity": 0.75})
    found = audit.evidence.model_copy(update={"threshold": rule})
    said = grounds(Case(Policy(), found, audit.selftest, audit.counts, 0, None))[0].way
    assert "takes its sensitivity from readers: of 23 pairs" in said and "75%" in said
    assert "as long as" not in said
