"""The command and the function: a run is read, and what was said stands in every place."""

from __future__ import annotations

import html
import json
import os
import re
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
from click.testing import CliRunner
from fake_runs import PATIENT
from rich.console import Console

import memtk
from memtk.cli import cli
from memtk.report import build_audit_report, build_report
from memtk.report.review import papers, review_summary
from memtk.results import Suite, read_result, write_result
from memtk.results.review import read_review


def run(*words, code=0):
    done = CliRunner().invoke(cli, [str(word) for word in words], env={"COLUMNS": "100"})
    assert done.exit_code == code, done.output
    return done.output


def read_all(reading, reader="anna", wrong=()):
    """Let a reader call each pair what its picture is: near copies have hardly any difference."""
    labels = {}
    for k, name in enumerate(reading.pairs):
        first, second = reading.images(name)
        copy = abs(first - second).mean() < 0.06
        labels[name] = "copy" if copy ^ (k in wrong) else "novel"
    reading.label(reader, labels)
    return reading


@pytest.fixture
def read(runs):
    reading = memtk.review(runs / "solid", pairs=24, controls=6)
    read_all(reading)
    return read_all(reading, "ben <b>", wrong=(0, 1, 2))


def test_what_readers_say_stands_in_the_record_the_terminal_and_the_report(runs, read):
    output = run("review", runs / "solid", "--show", "--json", runs.parent / "said.json")
    found = read_review(runs / "solid")
    assert json.loads((runs.parent / "said.json").read_text()) == found.model_dump(mode="json")
    assert read.result() == found and [r.name for r in found.readers] == ["anna", "ben <b>"]
    page = build_audit_report(runs / "solid").read_text()
    assert "<b>" not in re.findall(r"<td>ben.*?</td>", page)[0]
    for text in (output, html.unescape(page)):
        text = re.sub(r"\s+", " ", text)
        dar = next(rule for rule in found.rules if rule.name == "dar")
        for share in (dar.sensitivity, dar.specificity, dar.ppv, dar.npv):
            assert f"{share.count} of {share.n}" in text
        assert f"Cohen's kappa of anna and ben <b> is {found.kappas[0].kappa:.2f}" in text
        assert "The paper prints PPV as sensitivity and NPV as specificity" in text
        assert "would agree best" in text and PATIENT not in text
    names = {rule.name for rule in found.rules}
    assert {"dar", "conformal", "sure", "suspect", "threshold"} <= names


def test_controls_show_who_reads_well(runs, read):
    reading = memtk.review(runs / "solid")
    reading.label("blind", dict.fromkeys(reading.pairs, "copy"))
    blind = next(each for each in reading.result().readers if each.name == "blind")
    assert (blind.sensitivity.count, blind.specificity.count) == (6, 0)
    assert (blind.sensitivity.n, blind.specificity.n) == (6, 6)


def test_a_report_without_a_reading_has_no_section_for_it(runs):
    assert "What people see" not in build_report(runs / "flat").read_text()
    read_all(memtk.review(runs / "flat", pairs=10, controls=2)).result()
    assert "What people see" in build_report(runs / "flat").read_text()


def test_a_reading_of_other_images_is_not_shown_as_one_of_these(runs, read):
    read.result()
    path = runs / "solid/review/review.json"
    assert "named for sure" in section_of(build_audit_report(runs / "solid"))
    kept = json.loads(path.read_text())
    for other in ({"evidence": "0" * 32}, {"set": "flat/step-000100"}):
        path.write_text(json.dumps(kept | other))
        said = section_of(build_audit_report(runs / "solid"))
        assert "memtk review RUN --show" in said and "named for sure" not in said
        assert "anna" not in said
    run("review", runs / "solid", "--show")
    assert "anna" in section_of(build_audit_report(runs / "solid"))


def section_of(page):
    return page.read_text().split(">What people see</h")[-1].split('class="part"')[0]


def test_the_papers_radiologist_stands_beside_on_the_same_images_alone(runs):
    path = runs / "flat/cells/monai/result.json"
    result = read_result(path)
    assert papers(result) == ()
    write_result(path, result.model_copy(update={"suite": Suite(name="mrnet", version="1")}))
    read_all(memtk.review(runs / "flat", pairs=10, controls=2)).result()
    output = run("review", runs / "flat", "--show")
    assert re.search(r"paper, dar: MedDiff +94% +91% +85% +97%", output)
    page = build_report(runs / "flat").read_text()
    assert "MedDiff" in page and ">94.4%<" in page


def test_weighted_shares_are_said_to_be_weighted(runs):
    reading = read_all(memtk.review(runs / "flat", pairs=20, controls=2, stratified=True))
    found = reading.result()
    assert found.weighted and [each.size for each in found.strata] != [40]
    console = Console(record=True, width=100)
    console.print(review_summary(found))
    said = re.sub(r"\s+", " ", console.export_text())
    assert "weighted by the sizes of the strata of the draw" in said
    assert "near the threshold above all" in said


def test_a_plan_tells_intervals_before_anybody_reads(runs):
    file = runs.parent / "plan.json"
    output = run("review", runs / "flat", "--plan", "--pairs", 30, "--json", file)
    plan = json.loads(file.read_text())
    assert [each["pairs"] for each in plan["sizes"]] == [30, 40]
    widths = [each["sensitivity"][1] - each["sensitivity"][0] for each in plan["sizes"]]
    assert widths[0] > widths[1] > 0.1 and "take at least two" in re.sub(r"\s+", " ", output)
    assert plan["majority"]["3"] == pytest.approx(0.9**3 + 3 * 0.9**2 * 0.1)
    assert plan["controls"] == pytest.approx(0.025 ** (1 / 10))  # of 10 all right
    assert not (runs / "flat/cells/monai/review").exists()


def test_a_file_goes_out_and_labels_come_back(runs, tmp_path):
    said = run("review", runs / "flat", "--reader", "ann", "--export", tmp_path / "pairs.html")
    assert "holds images of patients" in re.sub(r"\s+", " ", said)
    page = (tmp_path / "pairs.html").read_text()
    meta = json.loads(re.search(r'id="meta">(.*?)</script>', page, re.S)[1])
    assert meta["reader"] == "ann" and len(meta["names"]) == 40 + 20
    labels = {name: {"label": "novel", "seconds": 3, "at": 1} for name in meta["names"]}
    saved = {"draw": meta["draw"], "reader": "ann", "labels": labels}
    (tmp_path / "labels.json").write_text(
        json.dumps(saved | {"schema_version": meta["schema"], "memtk_version": meta["version"]})
    )
    output = run("review", runs / "flat", "--add", tmp_path / "labels.json")
    assert "ann: 60 labels\n" in output and "10 of 10" in output  # strangers called novel
    labels |= {name: {"label": "copy", "seconds": 3, "at": 2} for name in meta["names"][:7]}
    (tmp_path / "labels.json").write_text(json.dumps(saved | {"labels": labels}))
    output = run("review", runs / "flat", "--add", tmp_path / "labels.json")
    assert "ann: 60 labels; it replaces 7 labels of ann\n" in output
    (tmp_path / "notes.txt").write_text("mine")
    output = run("review", runs / "flat", "--export", tmp_path / "notes.txt", code=2)
    assert "memtk did not write it" in output and (tmp_path / "notes.txt").read_text() == "mine"


def test_the_address_is_told_and_at_the_end_a_reader_learns_nothing_but_how_many_are_read(
    runs, monkeypatch
):
    opened, leads = [], []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setenv("DISPLAY", ":0")

    def read(server, ready):
        ready(server.address)
        for page in map(
            Path, map(url2pathname, (urlsplit(each).path for each in opened[len(leads) :]))
        ):
            assert os.name != "posix" or page.stat().st_mode & 0o777 == 0o600
            leads.extend(re.findall(r'url=([^"]+)', page.read_text()))
        memtk.review(runs / "flat").label("ann", {server.page.names[0]: "copy"})

    monkeypatch.setattr("memtk.reviewing.server.ReadingServer.run", read)
    output = run("review", runs / "flat", "--reader", "ann", "--pairs", 5)
    assert f"25 pairs for ann, at\n{leads[0]}" in output
    end = f"1 of 25 read; `memtk review {runs / 'flat'} --show` says what it means\n"
    assert output.endswith(f"the same command goes on.\n{end}")  # no rule, kappa or control
    assert [each.name for each in read_review(runs / "flat/cells/monai").readers] == ["ann"]
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{43}/", leads[0])
    assert opened[0].startswith("file:") and leads[0] not in opened[0]  # all users see what is run
    assert not list((runs / "flat").rglob("open*.html"))
    run("review", runs / "flat", "--reader", "ann", "--no-open")
    assert len(opened) == 1


def test_a_run_that_nobody_has_read_says_so(runs):
    assert "nobody has read any yet" in run("review", runs / "flat", "--show")


def test_a_consensus_is_read_of_what_readers_disagree_on(runs, read, tmp_path):
    run("review", runs / "solid", "--consensus", "--export", tmp_path / "few.html")
    meta = re.search(r'id="meta">(.*?)</script>', (tmp_path / "few.html").read_text(), re.S)[1]
    found = read.result()
    assert set(json.loads(meta)["names"]) == set(found.disagreements) and found.unclear
    labels = {name: {"label": "novel"} for name in read.pairs}  # of all, whatever was shown
    saved = {"draw": read.draw.name, "reader": "consensus", "labels": labels}
    (tmp_path / "agreed.json").write_text(json.dumps(saved))
    add = ["review", runs / "solid", "--add", tmp_path / "agreed.json"]
    assert "add it with --consensus" in re.sub(r"\s+", " ", run(*add, code=2))
    run(*add, "--consensus")
    after = read.result()
    assert after.unclear == 0 and len(after.readers) == 2
    assert after.copies.count == found.copies.count > 0  # where they agree they are believed
    (tmp_path / "agreed.json").write_text(json.dumps(saved | {"reader": "anna"}))
    assert "leave --consensus out" in re.sub(r"\s+", " ", run(*add, "--consensus", code=2))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--plan", "--show"], "give one of them"),
        (["--consensus"], "no two readers disagree"),
        (["--consensus", "--reader", "a"], "leave --reader out"),
        (["--reader", "consensus"], "what --consensus reads"),
        (["--reader", "a\nb", "--export", "x.html"], "one line of up to 80"),
        (["--pairs", "0"], "review.pairs = 0"),
        (["--add", "nowhere.json"], "there is no nowhere.json"),
        (["--cell", "other"], "no finished cell 'other'"),
        (["--reader", "\udcff"], "one line of up to 80"),
        (["--add", "labels.json", "--reader", "consensus"], "what --consensus reads"),
        (["--export", "x.html", "--json", "-"], "--json does nothing with --export"),
        (["--json", "-"], "--json does nothing while pairs are read"),
        (["--show", "--reader", "a"], "--reader does nothing with --show"),
        (["--show", "--consensus"], "--consensus does nothing with --show"),
        (["--plan", "--consensus"], "--consensus does nothing with --plan"),
        (["--show", "--pairs", "8"], "--pairs does nothing with --show"),
        (["--add", "labels.json", "--seed", "0"], "--seed does nothing with --add"),
        (["--show", "--random"], "--stratified/--random does nothing with --show"),
        (["--plan", "--port", "0"], "--port does nothing with --plan"),
        (["--export", "x.html", "--no-open"], "--open/--no-open does nothing with --export"),
        (["--port", "70000"], "0<=x<=65535"),
    ],
)
def test_what_cannot_be_read_is_refused(runs, words, says, monkeypatch):
    monkeypatch.chdir(runs)
    assert says in re.sub(r"\s+", " ", run("review", runs / "flat", *words, code=2))


def test_labels_in_python_are_checked(runs):
    reading = memtk.review(runs / "flat", pairs=5, controls=1)
    with pytest.raises(memtk.UserError, match="novel, copy or unsure"):
        reading.label("anna", {reading.pairs[0]: "maybe"})
    with pytest.raises(memtk.UserError, match="not of this draw"):
        reading.label("anna", {"0" * 12: "copy"})
    with pytest.raises(memtk.UserError, match="no pair 'x'"):
        reading.images("x")
    assert repr(reading).startswith("Of 5 pairs, drawn at random over training images, 0 have")
    assert not (reading.reviewed.folder / "review.json").exists()  # to look at it changes nothing
    for shown in (repr(reading), repr(reading.reviewed)):
        assert "Doe_John" not in shown and reading.reviewed.key.hex() not in shown
        assert repr(reading.reviewed.key) not in shown and PATIENT not in shown
