"""What a plugin's components print while they work stands before, in and behind no JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hostile.odd_plugin import HEAD, hook

NOISY = """
import os, sys

def noise():
    print("NOISE")
    print("NOISE", file=sys.__stdout__, flush=True)
    os.write(1, b"NOISE")
    os.system("echo NOISE")

class Reader:
    suffixes = (".odd",)
    def __init__(self):
        noise()
    def records(self, path):
        noise()
        return [Record(path)]
    def read(self, record):
        noise()
        return Volume(np.load(open(record.path, "rb"))[None], (1.0, 1.0))

class Protocol:
    def __call__(self, similarities, levels):
        noise()
        return ProtocolTable({"a": Measure(0.5, "a", "training")})

class Quality:
    def __call__(self, real, fake):
        noise()
        return {"a": 0.5}

class Similarity:
    space = "image"
    def prepare(self, rows):
        noise()
        rows = rows - rows.mean(1, keepdim=True)
        return rows / rows.norm(dim=1, keepdim=True)
    def compare(self, queries, references):
        noise()
        return queries @ references.T

class Section:
    def __call__(self, run):
        noise()

@hookimpl
def memtk_run_event(event):
    noise()
"""
KINDS = ("reader", "protocol", "quality", "similarity", "section")

IMAGES = ("--train", "train", "--val", "val")
HOW = ("--similarity", "noisy-similarity", "--plants", "2", "--device", "cpu")
COMMANDS = {
    "check": (*IMAGES, "--synthetic", "made"),
    "audit": (*IMAGES, "--synthetic", "made", *HOW, "--quality", "noisy-quality", "--out", "run"),
    "selftest": (*IMAGES, *HOW, "--out", "test"),
}
"""All commands that print JSON and use components of plugins, but for `release` and `review`."""


@pytest.mark.parametrize("name", COMMANDS)
def test_what_components_print_while_they_work_is_no_part_of_the_json(name, write_plugin, tmp_path):
    hooks = [hook(kind, f"noisy-{kind}", kind.title()) for kind in KINDS]
    write_plugin("noisy", HEAD + NOISY + "".join(hooks))
    for number, folder in enumerate(("train", "val", "made")):
        (tmp_path / folder).mkdir()
        for image in range(6):
            voxels = np.random.default_rng([number, image]).normal(size=(16, 16))
            with open(tmp_path / folder / f"{folder}{image}.odd", "wb") as file:
                np.save(file, voxels)
    path = os.pathsep.join([str(tmp_path / "site"), *sys.path])
    done = subprocess.run(
        [sys.executable, "-m", "memtk", name, *COMMANDS[name], "--json", "-"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
        cwd=tmp_path,
        timeout=300,
        check=False,
    )
    assert done.returncode in (0, 3, 4) and "NOISE" in done.stderr, done.stderr
    found = json.loads(done.stdout)
    assert "NOISE" not in done.stdout
    if name == "audit":
        assert found["quality"]["noisy-quality.a"] == 0.5
        assert "noisy-protocol" in found["protocols"]
