"""Gives every reader damaged files: 2,000 of each format, by seeds, from those of tests/foreign.

Each is read, or refused by one sentence: no other exception, no dead process, no more than 5 s and
no more than 1 GB of memory. What breaks a rule is printed with its seed; exit status 1.

    python benchmarks/fuzz_readers.py                        # about 20 minutes on one core
    python benchmarks/fuzz_readers.py --format DICOM --first 917 --count 1   # one file again
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import json
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

from memtk.errors import UserError
from memtk.registry import open_registry

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from foreign.damaged import FORMATS, damaged, examples, read

SECONDS, BYTES = 5.0, 10**9
"""Of the processor, whatever else the machine does, and of memory."""

LINES = 7
"""Of a refusal at most: a manifest names five of its lines, and counts the others."""

DEAD = 60
"""Seconds after which a reading is given up."""


def memory(word):
    """Bytes of this process: VmHWM, at most, since `forget`; VmRSS, now."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(word))


def forget():
    Path("/proc/self/clear_refs").write_text("5")


def work(name, first, count):
    """Read files one after the other; print a line each."""
    import resource

    registry = open_registry()
    top = Path(tempfile.mkdtemp(prefix="fuzz-"))
    sources = examples(name, top)
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (16 * 10**9, 16 * 10**9))
    for seed in range(first, first + count):
        print(json.dumps({"begins": seed}), flush=True)
        said = {"seed": seed, "outcome": "read", "example": sources[seed % len(sources)].name}
        with tempfile.TemporaryDirectory(dir=top) as folder:
            path = damaged(sources[seed % len(sources)], seed, Path(folder))
            faulthandler.dump_traceback_later(DEAD, exit=True)
            forget()
            before, begin = memory("VmRSS"), time.process_time()
            try:
                with contextlib.redirect_stderr(None):
                    read(path, registry)
            except UserError as error:
                said["outcome"] = "refused"
                said["lines"], said["text"] = len(str(error).splitlines()), str(error)[-120:]
            except BaseException:
                said["outcome"], said["text"] = "broken", traceback.format_exc()[-1500:]
            said["seconds"] = time.process_time() - begin
            faulthandler.cancel_dump_traceback_later()
            said["bytes"] = memory("VmHWM") - before
        print(json.dumps(said), flush=True)
    shutil.rmtree(top)


def results(name, first, count):
    """Yield what became of each file; a process that dies is named and replaced."""
    end = first + count
    while first < end:
        words = ["--worker", "--format", name, "--first", str(first), "--count", str(end - first)]
        process = subprocess.run(
            [sys.executable, __file__, *words],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        lines = [json.loads(s) for s in process.stdout.splitlines() if s.startswith("{")]
        yield from (line for line in lines if "seed" in line)
        begun = [line["begins"] for line in lines if "begins" in line]
        done = {line["seed"] for line in lines if "seed" in line}
        first = begun[-1] + 1 if begun else end
        if not begun or begun[-1] not in done:
            text = process.stderr[-1500:]
            yield {"seed": first - 1, "outcome": "dead", "text": text, "seconds": 0, "bytes": 0}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--format", choices=FORMATS)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        work(asked.format, asked.first, asked.count)
        return 0
    bad = 0
    heads = ("files", "read", "refused", "broken", "most s", "most MB")
    print(f"{'format':14}" + "".join(f"{head:>9}" for head in heads))
    for name in [asked.format] if asked.format else FORMATS:
        found = list(results(name, asked.first, asked.count))
        counts = {k: sum(f["outcome"] == k for f in found) for k in ("read", "refused")}
        slow, large = max(f["seconds"] for f in found), max(f["bytes"] for f in found)
        wrong = [
            f
            for f in found
            if f["outcome"] in ("broken", "dead")
            or f["seconds"] > SECONDS
            or f["bytes"] > BYTES
            or f.get("lines", 1) > LINES
        ]
        print(
            f"{name:14}{len(found):9}{counts['read']:9}{counts['refused']:9}{len(wrong):9}"
            f"{slow:9.2f}{large / 1e6:9.0f}",
            flush=True,
        )
        for each in wrong[:20]:
            print(f"  {json.dumps(each)}")
        bad += len(wrong)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
