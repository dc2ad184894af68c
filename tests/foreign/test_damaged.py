"""Damaged files are read or refused by a sentence; benchmarks/fuzz_readers.py has more of them."""

from __future__ import annotations

import contextlib
import warnings
from pathlib import Path

import pytest
from foreign.damaged import FORMATS, damaged, examples, mutated, read

from memtk.errors import UserError

SEEDS = range(40)
STATUS, FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def most():
    """Bytes of memory of this process at most, since it was last asked to forget."""
    lines = STATUS.read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


@pytest.mark.parametrize("name", FORMATS)
def test_a_damaged_file_is_read_or_refused_by_a_sentence(name, tmp_path, registry):
    sources = examples(name, tmp_path)
    if FORGET.exists():
        FORGET.write_text("5")
        before = most()
    for seed in SEEDS:
        (tmp_path / f"seed{seed}").mkdir()
        path = damaged(sources[seed % len(sources)], seed, tmp_path / f"seed{seed}")
        with warnings.catch_warnings(), contextlib.redirect_stderr(None):
            warnings.simplefilter("ignore")
            try:
                read(path, registry)
            except UserError as error:
                assert len(str(error).splitlines()) <= (7 if name == "manifest" else 2), (
                    seed,
                    str(error),
                )
                assert str(tmp_path) in str(error), (seed, str(error))
    assert not FORGET.exists() or most() - before < 10**9


def test_a_seed_makes_the_same_damage_each_time():
    content = bytes(range(256)) * 9
    assert mutated(content, 7) == mutated(content, 7) != content
    assert mutated(content, 7) != mutated(content, 8)
