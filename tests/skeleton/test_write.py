"""What `memtk plugins new` writes installs and keeps the rules at once, for every kind."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

from memtk.cli import cli
from memtk.component import KINDS
from memtk.errors import UserError
from memtk.skeleton import NOUNS, USES, write_skeleton


@pytest.fixture(scope="module")
def written(tmp_path_factory, registry):
    """A package of each kind, and a folder into which all of them are installed."""
    folder = tmp_path_factory.mktemp("skeletons")
    for kind in KINDS:
        write_skeleton(f"stranger-{kind}", registry, kind, folder / kind)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    command += ["--no-build-isolation", "--disable-pip-version-check", "--no-compile"]
    command += ["--target", str(folder / "site"), *(str(folder / kind) for kind in KINDS)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_kind_passes_its_own_tests_once_installed(written):
    tests = [written / kind / "tests" for kind in KINDS]
    options = ["-q", "-p", "no:cacheprovider", "--import-mode=importlib", "--rootdir", written]
    path = os.pathsep.join(filter(None, [str(written / "site"), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *map(str, (*options, *tests))],
        capture_output=True,
        text=True,
        cwd=written,
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200"},
    )
    assert done.returncode == 0, done.stdout
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 200


def test_a_package_passes_on_the_command_line_and_its_entry_point_is_found(written, monkeypatch):
    monkeypatch.syspath_prepend(written / "site")
    done = CliRunner().invoke(cli, ["plugins", "test", "stranger-report"])
    assert done.exit_code == 0, done.output
    said = " ".join(done.stdout.split())  # lines are as wide as the terminal
    assert said.count("(report of stranger-report 0.1.0)") == 1
    assert "skipped  its name is its own" not in done.stdout


def test_what_is_written_is_formatted_code_without_leftovers(written):
    files = [p for kind in KINDS for p in (written / kind).rglob("*") if p.suffix in (".py", ".md")]
    assert len(files) > 30
    for path in files:
        text = path.read_text()
        assert "{{" not in text and "{%" not in text and text.endswith("\n"), path
        assert path.suffix == ".md" or max(map(len, text.splitlines())) <= 100, path


def test_every_kind_is_known():
    assert NOUNS.keys() == USES.keys() == KINDS.keys()


@pytest.mark.parametrize("name", ["My-Model", "3d", "a_b", "a--b", "-a", "a-", "", "lambda", "a/b"])
def test_a_malformed_name_is_refused(registry, tmp_path, name):
    with pytest.raises(UserError, match="is no name for a plugin"):
        write_skeleton(name, registry, folder=tmp_path / "new")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("copycat", "there is a generator 'copycat' already, of memtk"),
        ("toy", "there is a plugin 'toy' of memtk already"),
        ("memtk", "there is a plugin 'attacks' of memtk already"),
        ("protocol", "'protocol' is a kind, no name: memtk plugins new NAME --kind protocol"),
        ("reader", "'reader' is a kind, no name: memtk plugins new NAME --kind reader"),
        ("json", "there is a Python package 'json' already"),
    ],
)
def test_a_name_that_is_taken_is_refused(registry, tmp_path, name, sentence):
    with pytest.raises(UserError, match=sentence):
        write_skeleton(name, registry, folder=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_folder_that_is_there_is_left_alone(registry, tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("here", "link"):
        with pytest.raises(UserError, match="is there already: nothing was written"):
            write_skeleton("fresh", registry, folder=tmp_path / name)
    assert not list((tmp_path / "here").iterdir())


def test_an_unknown_kind_gets_the_nearest_one(registry, tmp_path):
    with pytest.raises(UserError, match="Did you mean 'generator'"):
        write_skeleton("fresh", registry, "generatr", tmp_path / "new")


def test_where_nothing_can_be_written_nothing_is_left(registry, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        write_skeleton("fresh", registry, folder=tmp_path / "file" / "new")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
