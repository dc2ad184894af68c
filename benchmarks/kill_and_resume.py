"""Kills a command (SIGKILL) at random moments and says it again each time.

What it leaves must be what an undisturbed one does, file by file but for clocks; no temporary file
and, some seconds after each kill, no process may be left:

    python benchmarks/kill_and_resume.py --kills 10                     # a bench of two generators
    python benchmarks/kill_and_resume.py --command study --kills 10
    python benchmarks/kill_and_resume.py --command audit                # and selftest, release
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from hostile.test_killed import held

CPU = ("--device", "cpu")
SOURCES = ("--train", "made/train", "--val", "made/validation")
SMALL = ("--preset", "smoke", *CPU, "-g", "copycat")
AUDIT = (
    "audit",
    *SOURCES,
    "--synthetic",
    "made/synthetic",
    "--similarity",
    "ncc",
    "--plants",
    "4",
    *CPU,
)

COMMANDS = {
    "bench": ("bench", *SMALL, "-g", "monai3d", "--out", "out"),
    "study": ("study", "grid", "--vary", "seed=0,1", "--jobs", "2", *SMALL, "--out", "out"),
    "audit": (*AUDIT, "--out", "out"),
    "selftest": ("selftest", *SOURCES, "--similarity", "ncc", *CPU, "--out", "out"),
    "release": ("release", "audit", "--second-similarity", "cosine", "--out", "out"),
}

DATA = (
    *("data", "make", "phantom2d", "made", "--as", "audit", "--copies", "0.25"),
    *("--training", "12", "--validation", "12", "--size", "16"),
)

PATIENCE = 20
"""Seconds in which processes of a killed command must have ended."""


def start(words, folder, mark):
    return subprocess.Popen(
        [sys.executable, "-m", "memtk", *words],
        cwd=folder,
        env=os.environ | {"KILL_AND_RESUME": mark},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def alive(mark):
    """Return the processes that were started with this mark, by whomever."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() != "zombie" and process.environ().get("KILL_AND_RESUME") == mark:
                found.append(process.pid)
    return found


def made(folder):
    """Return every file of an output and what it says, but for names made with the run's key."""
    found = {k: v for k, v in held(folder / "out").items() if Path(k).name != "key"}
    for name in found:
        if Path(name).name in ("copies.csv", "exposed.csv"):
            rows = csv.DictReader(found[name].decode().splitlines())
            found[name] = [{k: v for k, v in row.items() if k != "report_name"} for row in rows]
    return found


def prepare(folder, command):
    folder.mkdir()
    ready = [] if command in ("bench", "study") else [DATA]
    ready += [(*AUDIT, "--out", "audit")] if command == "release" else []
    for words in ready:
        assert start(words, folder, "").wait() in (0, 3, 4), words


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--command", choices=COMMANDS, default="bench")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("more", nargs="*", help="further arguments of the command, after --")
    asked = parser.parse_args()
    words, moments = [*COMMANDS[asked.command], *asked.more], random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as temporary:
        fresh, folder = Path(temporary) / "fresh", Path(temporary) / "work"
        prepare(fresh, asked.command)
        shutil.copytree(fresh, folder)
        begin = time.perf_counter()
        assert start(words, folder, "").wait() in (0, 3, 4)
        whole, expected = time.perf_counter() - begin, made(folder)
        print(f"undisturbed: {whole:.1f} s, {len(expected)} files", flush=True)
        wrong, killed = 0, 0
        shutil.rmtree(folder)
        shutil.copytree(fresh, folder)
        while killed < asked.kills:
            # Imports take seconds; a kill after them, at a moment spread over the whole job.
            pause, mark = moments.uniform(0.2, 1.0) * whole, uuid.uuid4().hex
            process = start(words, folder, mark)
            try:
                process.wait(timeout=pause)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                killed += 1
                until = time.monotonic() + PATIENCE
                while (left := alive(mark)) and time.monotonic() < until:
                    time.sleep(0.1)
                wrong += len(left)
                print(f"kill {killed} after {pause:.1f} s: processes left {left}", flush=True)
                continue
            wrong += same(expected, folder)
            shutil.rmtree(folder)
            shutil.copytree(fresh, folder)
        assert start(words, folder, "").wait() in (0, 3, 4)
        wrong += same(expected, folder)
        sys.exit(int(wrong > 0))


def same(expected, folder):
    """Say which files differ, and return how many."""
    found = made(folder)
    differ = sorted(k for k in expected.keys() | found if expected.get(k, 0) != found.get(k, 0))
    print("what is left is", f"OTHER: {differ}" if differ else "the same", flush=True)
    return len(differ)


if __name__ == "__main__":
    main()
