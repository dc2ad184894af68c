"""A command killed at any rename and said again leaves what an undisturbed one does.

None moves a file that is open, which Windows refuses."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import itertools
import json
import os
import pathlib
import re
import secrets
import shutil
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from memtk.cli import cli
from memtk.data.public.catalogue import PUBLIC, PublicFile, PublicSet

SMALL = (
    *("-g", "copycat", "--similarity", "ncc", "--preset", "smoke", "--device", "cpu"),
    *("--set", "data.source=phantom2d", "--set", "data.phantom.size=8"),
    *("--set", "data.phantom.training=8", "--set", "data.phantom.validation=8"),
    *("--set", "bench.plants=0", "--out", "out"),
)

PAIRS = ("--pairs", "4", "--controls", "1")

COMMANDS = {
    "bench": ("bench", *SMALL),
    "study": ("study", "--vary", "copycat.rate=0,1", *SMALL),
    "release": ("release", "audit", "--second-similarity", "cosine"),
    "audit": (
        *("audit", "--train", "made/train", "--val", "made/validation", "--synthetic"),
        *("made/synthetic", "--similarity", "ncc", "--plants", "2", "--out", "out"),
    ),
    "selftest": (
        *("selftest", "--train", "made/train", "--val", "made/validation"),
        *("--similarity", "ncc", "--plants", "2", "--out", "out"),
    ),
    "leaderboard": ("leaderboard", "all", "--out", "out", "--markdown", "board.md"),
    "results add": ("results", "add", "results", "out", "--report"),
    "results recompute": ("results", "recompute", "audit", "--evidence"),
    "results rerun": ("results", "rerun", "bench/cells/copycat/result.json", "--out", "out"),
    "report": ("report", "audit"),
    "review": ("review", "audit", *PAIRS, "--export", "pairs.html"),
    "review add": ("review", "audit", "--add", "labels.json"),
    "check": (
        *("check", "--train", "made/train", "--val", "made/validation"),
        *("--json", "check.json"),
    ),
    "data get": ("data", "get", "tiny"),
    "data make": ("data", "make", "phantom2d", "out", "--training", "1", "--validation", "1"),
    "plugins new": ("plugins", "new", "my-model", "out"),
}

COSTLY = ("bench", "study", "release", "audit", "selftest", "results rerun")
"""Commands that take seconds: killed half-way and at the end alone."""

FAR = 10**9
"""A rename that never comes."""


class Killed(GeneratorExit):
    """Stands for SIGKILL: nothing is done after it, and nobody takes it for a failure."""


HANDLES = pathlib.Path("/proc/self/fd")
"""What a process has open, where that can be listed."""


def opened_here():
    """All files that this process has open."""
    found = set()
    for handle in os.listdir(HANDLES):
        with contextlib.suppress(OSError):
            found.add(os.readlink(HANDLES / handle))
    return found


class Moves:
    """Lists what is renamed, replaced or removed, each with what of it is open then.

    A lock, which Windows removes otherwise, is left out.
    """

    def __init__(self, monkeypatch):
        self.seen = []
        for each in ("replace", "rename", "unlink", "remove", "rmdir"):
            monkeypatch.setattr(os, each, self._checked(getattr(os, each)))

    def _checked(self, function):
        def checking(*paths, **how):
            for path in map(str, paths if "dir_fd" not in how else ()):
                real = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
                busy = [p for p in opened_here() if p == real or p.startswith(f"{real}/")]
                self.seen.append((function.__name__, path, [p for p in busy if ".lock" not in p]))
            return function(*paths, **how)

        return checking

    def of_open_files(self):
        return [move for move in self.seen if move[2]]


class Killer:
    """Kills the process at its `number`th rename, before or after it; then nothing is tidied up."""

    def __init__(self, monkeypatch, number, when):
        self.left, self.when, self.dead = number, when, False
        for module, name in ((os, "replace"), (os, "rename")):
            monkeypatch.setattr(module, name, self._renaming(getattr(module, name)))
        for module, name in ((os, "unlink"), (os, "rmdir"), (os, "remove"), (shutil, "rmtree")):
            monkeypatch.setattr(module, name, self._tidying(getattr(module, name)))
        monkeypatch.setattr(pathlib.Path, "unlink", self._tidying(pathlib.Path.unlink))

    def _renaming(self, rename):
        def renaming(*words, **how):
            if self.dead:
                return
            self.left -= 1
            if self.left == 0 and self.when == "before":
                self._die()
            rename(*words, **how)
            if self.left == 0:
                self._die()

        return renaming

    def _tidying(self, tidy):
        def tidying(*words, **how):
            if not self.dead:
                tidy(*words, **how)

        return tidying

    def _die(self):
        self.dead = True
        raise Killed


def content(path):
    """What a file says, without clocks."""
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            found = {}
            file.visititems(
                lambda name, each: (
                    found.update({name: repr(np.asarray(each[()]).tolist())})
                    if isinstance(each, h5py.Dataset)
                    else None
                )
            )
            return found
    if path.suffix == ".json":
        tree = json.loads(path.read_text())
        return {k: v for k, v in tree.items() if k not in ("timing", "created")}
    if path.name == "study.csv":
        rows = csv.DictReader(path.read_text().splitlines())
        return [{k: v for k, v in row.items() if "seconds" not in k} for row in rows]
    return path.read_bytes()


CLOCKS = ("timing.json", "contents.json", "report.html")
"""Files that say how long something took; the report's pictures stand in its lists."""


def held(folder):
    paths = [p for p in folder.rglob("*") if p.is_file() and p.name != ".lock"]
    return {
        p.relative_to(folder).as_posix(): None if p.name in CLOCKS else content(p) for p in paths
    }


def labels(folder):
    """What a page saves when somebody has read all its pairs."""
    draw = json.loads((folder / "pairs.json").read_text())
    said = {pair["name"]: {"label": "novel", "at": 9.0} for pair in draw["pairs"]}
    return json.dumps({"draw": draw["name"], "reader": "anna", "labels": said})


@pytest.fixture(scope="session")
def archive(tmp_path_factory):
    """A public set of one archive on a local server."""
    folder = tmp_path_factory.mktemp("site")
    content = io.BytesIO()
    np.save(content, np.zeros((8, 8)))
    with tarfile.open(folder / "t.tar", "w") as file:
        for name in ("Task/imagesTr/a.npy", "Task/imagesTr/b.npy"):
            member = tarfile.TarInfo(name)
            member.size = len(content.getvalue())
            file.addfile(member, io.BytesIO(content.getvalue()))
    handler = partial(SimpleHTTPRequestHandler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        body = (folder / "t.tar").read_bytes()
        check = f"md5:{hashlib.md5(body).hexdigest()}"
        one = PublicFile("t.tar", f"{url}t.tar", check, len(body))
        yield PublicSet("tiny", "Tiny", 2, 2, "CC0", ("Someone",), url, (one,), top="Task")
        server.shutdown()


@pytest.fixture
def place(world, tmp_path, monkeypatch, archive, request):
    """A folder in which the commands find what they read; its key is always the same."""
    monkeypatch.setitem(PUBLIC, "tiny", archive)
    monkeypatch.setenv("MEMTK_DATA_HOME", str(tmp_path / "home"))
    shutil.copytree(world["audit"].parent / "made", tmp_path / "made")
    shutil.copytree(world["audit"], tmp_path / "audit")
    for name in ("all", "results"):
        shutil.copytree(world[name], tmp_path / name)
    (tmp_path / "results/report.html").write_text("report")
    tree = json.loads((tmp_path / "audit/run.json").read_text())
    text = json.dumps(tree).replace(str(world["audit"].parent), str(tmp_path))
    (tmp_path / "audit/run.json").write_text(text)
    monkeypatch.setattr(secrets, "token_hex", lambda size: "ab" * size)
    monkeypatch.setattr("memtk.auditing.plan.PRESETS", ("smoke",))  # a second audit in a second
    monkeypatch.chdir(tmp_path)
    if request.node.callspec.params["name"] == "results rerun":
        assert CliRunner().invoke(cli, [*COMMANDS["bench"][:-1], "bench"]).exit_code == 0
    if request.node.callspec.params["name"] == "review add":
        first = ("review", "audit", *PAIRS, "--export", "pairs.html")
        assert CliRunner().invoke(cli, first).exit_code == 0
        (tmp_path / "labels.json").write_text(labels(tmp_path / "audit/review"))
    return tmp_path


@pytest.mark.parametrize("name", COMMANDS)
def test_a_killed_command_said_again_leaves_the_same_and_none_moves_an_open_file(
    name, place, monkeypatch
):
    before = place.with_name(f"{place.name}-before")
    shutil.copytree(place, before)
    with monkeypatch.context() as patch:
        moves = Moves(patch) if HANDLES.exists() else None
        counted = Killer(patch, FAR, "before")
        assert CliRunner().invoke(cli, COMMANDS[name]).exit_code in (0, 3, 4)
    if moves is not None:
        assert moves.seen and not moves.of_open_files()
    whole, renames = held(place), FAR - counted.left
    numbers = {renames // 2, renames} | (set() if name in COSTLY else {1, renames - 1})
    numbers = sorted(numbers & {*range(1, renames + 1)})
    for number, when in zip(numbers, itertools.cycle(("before", "after")), strict=False):
        os.chdir(before)
        shutil.rmtree(place)
        shutil.copytree(before, place)
        os.chdir(place)
        with monkeypatch.context() as patch, pytest.raises(Killed):
            Killer(patch, number, when)
            CliRunner().invoke(cli, COMMANDS[name])
        done = CliRunner().invoke(cli, COMMANDS[name])
        finished = number == renames and re.search("is there already|is not empty", done.output)
        assert done.exit_code in (0, 3, 4) or finished, (number, when, done.output)
        assert held(place) == whole, (number, when)


@pytest.mark.skipif(not HANDLES.exists(), reason="no list of open files")
def test_a_move_of_an_open_file_is_seen(tmp_path, monkeypatch):
    moves = Moves(monkeypatch)
    with open(tmp_path / "open", "w"):
        os.replace(tmp_path / "open", tmp_path / "renamed")
    assert moves.of_open_files() == [("replace", str(tmp_path / "open"), [str(tmp_path / "open")])]
