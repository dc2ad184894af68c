"""What keeps memtk on systems that are no POSIX, as far as a POSIX machine can show it."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from memtk.config import parse_set
from memtk.data.config import DataConfig
from memtk.data.manifest import read_manifest
from memtk.data.readers import Readers
from memtk.data.roles import _root
from memtk.errors import UserError
from memtk.results.redact import redact
from memtk_files import command

ROOT = Path(__file__).parents[1]

IMPORT_ALL = """
import importlib, pathlib, sys

import psutil  # its half for Linux imports `resource`, its half for Windows does not

for name in ("fcntl", "resource", "pwd", "grp"):
    sys.modules[name] = None  # what Windows has not: importing it fails
for root, base in (("memtk", "."), ("plugins", "plugins")):
    for path in sorted(pathlib.Path(root).rglob("*.py")):
        if path.stem != "__main__":
            module = ".".join(path.relative_to(base).with_suffix("").parts)
            importlib.import_module(module.removesuffix(".__init__"))
print(len([name for name in sys.modules if name.split(".")[0].startswith("memtk")]))
"""


def test_every_module_is_imported_without_what_only_posix_has():
    run = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL],
        cwd=ROOT,
        env={**os.environ, "USERNAME": "anna"},  # as Windows has it: monai asks for the name
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert int(run.stdout) > 200


@cache
def _calls():
    """Every call in the code: where it stands, and its node."""
    return list(_found())


def _found():
    for folder in ("memtk", "plugins"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def test_text_is_read_and_written_in_utf_8_whatever_the_system_prefers():
    wrong = []
    for where, call in _calls():
        name = ast.unparse(call.func).rpartition(".")[2]
        words = [a.value for a in call.args if isinstance(a, ast.Constant)]
        named = {k.arg for k in call.keywords}
        text = name in {"read_text", "write_text"} and isinstance(call.func, ast.Attribute)
        if ast.unparse(call.func) in {"open", "os.fdopen"} or name == "fdopen":
            text = not any("b" in ast.unparse(each).partition(" if ")[0] for each in call.args[1:])
        if text and "encoding" not in named and "utf-8" not in words:
            wrong.append(where)
        if text and name == "write_text" and "newline" not in named:
            wrong.append(f"{where} (newline)")
    assert not wrong


def test_nothing_forks_nor_asks_what_only_posix_answers():
    never = {
        "os.fork",
        "os.getuid",
        "os.geteuid",
        "os.uname",
        "os.killpg",
        "os.setsid",
        "os.mkfifo",
    }
    assert not [where for where, call in _calls() if ast.unparse(call.func) in never]
    for where, call in _calls():
        named = {k.arg: ast.unparse(k.value) for k in call.keywords}
        assert not {"preexec_fn", "start_new_session"} & set(named), where
        assert named.get("method", "") != "'fork'", where


def test_a_command_keeps_the_backslashes_of_its_paths(monkeypatch):
    monkeypatch.setattr(command, "ESCAPE", "")
    run = r"""C:\tools\draw.exe "D:\my data\x.yaml" --to {folder} \\server\share"""
    words = ["C:\\tools\\draw.exe", "D:\\my data\\x.yaml", "--to", "{folder}", r"\\server\share"]
    assert command.words_of(run) == words


PLACES = (r"C:\Users\anna\x", r"D:/data/x", r"\\server\share\x", r"\Users\anna", r"data\anna\1.png")


@pytest.mark.parametrize("place", PLACES)
def test_a_place_on_windows_is_shown_in_no_report(place):
    tree = {"notes": [f"{place}", f"read in {place}"], "config": {"source": place}}
    assert "anna" not in json.dumps(redact(tree)) and "share" not in json.dumps(redact(tree))


@pytest.mark.parametrize("place", PLACES)
def test_a_setting_keeps_a_place_on_windows_as_it_was_typed(place):
    assert parse_set(f"data.source={place}") == {"data": {"source": place}}


@pytest.mark.parametrize("place", [r"C:\data\a.png", r"\\server\share\a.png"])
def test_a_place_on_windows_that_is_not_here_is_named_with_the_reason(place, tmp_path, registry):
    (tmp_path / "m.csv").write_text(f"path,patient_id\n{place},1\n")
    with pytest.raises(UserError, match="It is a path of Windows"):
        read_manifest(tmp_path / "m.csv", DataConfig(source="x"), Readers(registry))


def test_folders_in_a_manifest_may_be_parted_by_backslashes(tmp_path, registry):
    (tmp_path / "a/b").mkdir(parents=True)
    Image.fromarray(np.eye(9, dtype=np.uint8)).save(tmp_path / "a/b/1.png")
    (tmp_path / "m.csv").write_text("path,patient_id\r\na\\b\\1.png,1\r\n", newline="")
    [row] = read_manifest(tmp_path / "m.csv", DataConfig(source="x"), Readers(registry)).rows
    assert row.record.path == tmp_path / "a/b/1.png"


def test_the_folder_above_sources_on_two_drives_is_the_first(monkeypatch):
    def two_drives(paths):
        raise ValueError("Paths don't have the same drive")

    monkeypatch.setattr("os.path.commonpath", two_drives)
    assert _root(["a/train.csv", "b/val.csv"]) == Path("a")
