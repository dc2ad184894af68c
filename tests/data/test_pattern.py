from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from memtk.cli import cli
from memtk.data import pattern as searching
from memtk.data.pattern import patients_in
from memtk.errors import UserError

FOLDER = Path("/d")


def test_a_pattern_with_a_slash_sees_the_folders():
    assert patients_in(r"(\w+)/", [FOLDER / "P3" / "1.png"], FOLDER) == ["P3"]
    assert patients_in(r"(\d+)", [FOLDER / "P3" / "x.png"], FOLDER) == [""]


NAMES = ("p7_1.png", "é_Ω.png", "\udcff7.png", "a\nb.png", '"x".png', "p8(1)?.png", "", "x" * 300)


@pytest.mark.parametrize("pattern", [r"p(\d)", r"(\W)", r"(.)(?=7)", "(?i)(P)", "(x*)$", "(q)?"])
def test_what_is_found_in_another_process_is_what_is_found_in_this_one(pattern):
    found = patients_in(pattern, [FOLDER / name for name in NAMES], FOLDER)
    names = [(FOLDER / name).name for name in NAMES]
    here = [re.search(pattern, name) for name in names]
    assert found == [(match.group(1) or "") if match else "" for match in here]


ENDLESS = (r"(a+)+$", r"(a|a)*$", r"((?:a?){40}a{40})$", r"(?:a*)*(b)", r"([ab]*)*c", r"(\w+\s?)*$")


@pytest.mark.parametrize("pattern", ENDLESS)
@pytest.mark.parametrize("by_manifest", [False, True])
def test_a_pattern_that_tries_for_ever_is_ended(
    pattern, by_manifest, write_pngs, tmp_path, monkeypatch
):
    monkeypatch.setattr(searching, "SECONDS", 1)
    name = "a" * 40 + "!.png"
    write_pngs([name.removesuffix(".png"), "b"])
    if by_manifest:
        (tmp_path / "images/manifest.csv").write_text(f"path,split\n{name},train\nb.png,val\n")
    begin = time.monotonic()
    words = ("check", str(tmp_path / "images"), "--set", f"data.patient_pattern={pattern}")
    done = CliRunner().invoke(cli, words)
    said = " ".join(done.output.split())
    assert done.exit_code == 2 and "tries too many ways" in said, said
    assert "name the patients in a manifest" in said and time.monotonic() - begin < 20


@pytest.mark.skipif(os.name != "posix", reason="no alarms here")
def test_the_process_ends_by_itself_where_nobody_ends_it(monkeypatch):
    monkeypatch.setattr(searching, "SECONDS", 1)

    def without_a_limit(words, timeout, **how):
        return run(words, **how)

    run = searching.subprocess.run
    monkeypatch.setattr(searching.subprocess, "run", without_a_limit)
    with pytest.raises(UserError, match="takes more than 1 s for 1 names"):
        patients_in(r"(a+)+$", [FOLDER / ("a" * 40 + "!")], FOLDER)


PATTERNS = ("(" * 5000 + ")" * 5000, "a{99999999999999}(b)", "(a)" + "b" * 2000, "(a)(b)", "(")


@pytest.mark.parametrize("pattern", PATTERNS, ids=range(len(PATTERNS)))
def test_what_is_no_regular_expression_is_refused(pattern, tmp_path):
    words = ("check", str(tmp_path), "--set", f"data.patient_pattern={pattern}")
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 2 and "data.patient_pattern" in done.output, done.exception
    assert isinstance(done.exception, SystemExit)


def test_names_are_searched_in_little_time():
    paths = [FOLDER / f"p{n}_x.png" for n in range(100_000)]
    begin = time.monotonic()
    assert patients_in(r"p(\d+)_", paths, FOLDER)[-1] == "99999"
    assert time.monotonic() - begin < 20
