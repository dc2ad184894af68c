"""Kills a bench (SIGKILL) at random moments and starts it again each time.

The numbers of its final result must equal those of an undisturbed run:

    python benchmarks/kill_and_resume.py --kills 10
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GENERATORS = ("monai3d", "copycat")


def start(folder, more):
    command = [sys.executable, "-m", "memtk", "bench", "--preset", "smoke", "--device", "cpu"]
    for name in GENERATORS:
        command += ["-g", name]
    return subprocess.Popen(
        [*command, "--out", str(folder), *more],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def numbers(folder):
    found = {}
    for name in GENERATORS:
        result = json.loads((folder / "cells" / name / "result.json").read_text())
        result.pop("timing")
        found[name] = result
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("more", nargs="*", help="further arguments of memtk bench, after --")
    arguments = parser.parse_args()
    moments = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as temporary:
        straight, disturbed = Path(temporary) / "straight", Path(temporary) / "disturbed"
        begin = time.perf_counter()
        assert start(straight, arguments.more).wait() == 0
        whole = time.perf_counter() - begin
        print(f"undisturbed: {whole:.1f} s")
        killed = 0
        while killed < arguments.kills:
            # Imports take seconds; a kill after them, at a moment spread over the whole job.
            pause = moments.uniform(0.2, 1.0) * whole
            process = start(disturbed, arguments.more)
            try:
                process.wait(timeout=pause)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                killed += 1
                done = [p for p in disturbed.rglob("*") if p.is_file()]
                print(f"kill {killed} after {pause:.1f} s: {len(done)} files there", flush=True)
                continue
            same = numbers(straight) == numbers(disturbed)
            print(f"finished before it was killed, {'the same' if same else 'OTHER'} numbers")
            if not same:
                sys.exit(1)
            shutil.rmtree(disturbed)
        assert start(disturbed, arguments.more).wait() == 0
        same = numbers(straight) == numbers(disturbed)
        print("the numbers are", "the same" if same else "DIFFERENT")
        sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
