"""The two audits of the page for beginners: its commands give the numbers that it shows."""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from memtk.cli import cli
from memtk.training.loop import train

PAGE = (Path(__file__).parent.parent / "docs/start/two-audits.md").read_text()
NEAR = 3
"""By how much a count or a percentage may differ: processors round differently, and a network
that learns from that ends elsewhere."""


def trained_once():
    """Return `train`, which finds its result where the same images were trained on before."""
    places = {}

    def trained(model, images, *, seed, folder, **how):
        key = seed, images.read(range(len(images))).numpy().tobytes()
        place = places.setdefault(key, folder.resolve())
        if place != folder.resolve():
            shutil.copytree(place, folder)
        return train(model, images, seed=seed, folder=folder, **how)

    return trained


@pytest.fixture(scope="module")
def audits(tmp_path_factory):
    """Run the commands of the page; return of each audit its exit status, record and names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("audits"))
        patch.setattr("memtk.evaluation.detector.train", trained_once())
        codes = {}
        for line in re.findall(r"^    memtk ((?:data make|audit) .+)$", PAGE, re.M):
            words = shlex.split(line)
            done = CliRunner().invoke(cli, words)
            name = Path(words[-1] if "--out" not in words else words[words.index("--out") + 1]).name
            codes[name.removesuffix("-audit")] = done.exit_code
            assert done.exit_code in (0, 3), done.output
        found = {}
        for name in ("good", "bad"):
            truth = {row["path"]: row["copy_of"] for row in table(f"{name}/truth.csv")}
            rows = table(f"{name}-audit/copies.csv")
            record = json.loads(Path(f"{name}-audit/audit.json").read_text())
            found[name] = numbers(record, rows, truth) | {"exit status": codes[name]}
    return found


def table(path):
    return [*csv.DictReader(Path(path).read_text().splitlines())]


def numbers(record, rows, truth):
    rate, people = record["evidence"]["copy_rate"], record["evidence"]["exposed"]
    sure, suspect = (
        [truth[row["synthetic"]] for row in rows if row["named"] == how]
        for how in ("sure", "suspect")
    )
    outcome = record["verdict"]["outcome"]
    noticed = record["selftest"]["sensitivity"]["conformal"]
    return {
        "outcome": {"pass": "within policy"}.get(outcome, outcome),
        "copy rate, estimate": 100 * rate["estimate"],
        "copy rate, lower end": 100 * rate["low"],
        "copy rate, upper end": 100 * rate["high"],
        "patients exposed, at least": people["low"],
        "patients exposed, at most": people["high"],
        "images named as copies for sure": len(sure),
        "sure copies": len([original for original in sure if original]),
        "images named as suspect besides": len(suspect),
        "suspect copies": len([original for original in suspect if original]),
        "copies we planted": noticed["n"],
        "noticed": noticed["count"],
    }


def test_every_row_of_the_table_is_what_the_audits_say(audits):
    labels = iter(("sure copies", "suspect copies", "noticed"))
    rows = {
        next(labels) if label.startswith("...") else label: cells
        for label, cells in table_rows()
        if label != "audit" and set(label) != {"-"}
    }
    assert rows.keys() == audits["bad"].keys()
    for label, cells in rows.items():
        for name, said in zip(("good", "bad"), cells, strict=False):
            found = audits[name][label]
            if isinstance(found, str) or label == "exit status":
                assert said == str(found), label
            else:
                assert abs(float(said.removesuffix("%")) - found) <= NEAR, (label, name, found)


def table_rows():
    for line in PAGE.splitlines():
        if line.startswith("|"):
            label, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            yield label, cells


def test_the_text_repeats_the_numbers_of_the_table():
    rows = [*table_rows()]
    shown = {cell.removesuffix("%") for _, cells in rows for cell in cells}
    made = {"160", "200", "320", "10", "32", "37", "100", "5"}  # given: sizes, shares, limits
    _, _, text = PAGE.partition("## How to read them")
    for number in re.findall(r"\d+(?:\.\d+)?", re.sub(r"\(\.\./.*?\)", "", text)):
        assert number in shown | made, number
