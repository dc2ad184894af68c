"""The patients whom a regular expression finds in the names of files, within seconds."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from memtk.data.file_names import below
from memtk.errors import UserError
from memtk.interpreter import required_python

SECONDS, NAMES = 20, 20_000
"""So long an expression may take, and a second more for each so many names."""

SEARCH = """
import json, re, signal, sys
pattern, texts, seconds = json.load(sys.stdin)
getattr(signal, "alarm", int)(seconds)
found = [re.search(pattern, text) for text in texts]
json.dump([match.group(1) or "" if match else "" for match in found], sys.stdout)
"""
"""Ends by itself, where the system has alarms, if nobody is there any more to end it."""


def patients_in(pattern: str, paths: Sequence[Path], folder: Path) -> list[str]:
    """Return what the group of `pattern` finds in each file's name, "" where it finds nothing.

    With a slash in it, it is searched in the path below `folder`. A process of its own searches:
    nothing else stops an expression that tries billions of ways, as `(a+)+$` does.

    Raises:
        UserError: if that takes too long.

    >>> patients_in(r"(\\d+)_", [Path("d/0012_003.png"), Path("d/x.png")], Path("d"))
    ['0012', '']
    """
    texts = [path.name for path in paths]
    if "/" in pattern:
        texts = [below(path, folder) for path in paths]
    seconds = SECONDS + len(texts) // NAMES
    words = (required_python("data.patient_pattern"), "-I", "-S", "-c", SEARCH)
    asked = json.dumps([pattern, texts, seconds]).encode()
    try:
        done = subprocess.run(words, input=asked, capture_output=True, timeout=seconds, check=True)
    except subprocess.SubprocessError as error:
        raise UserError(
            f"data.patient_pattern = {pattern} takes more than {seconds} s for {len(texts)} names: "
            "a repetition within a repetition, as in (a+)+, tries too many ways. Write it simpler, "
            "as in (\\d+)_, or name the patients in a manifest"
        ) from error
    found: list[str] = json.loads(done.stdout)
    return found
