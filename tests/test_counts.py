"""Counts in sentences."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import memtk
from memtk.cli import cli
from memtk.errors import many, some
from memtk.report.provenance import flatten

NOUNS = "labels|pairs|images|patients|cells|files|folders|slices|seeds|copies|checkpoints|columns"
"""What is counted where there may be one of it."""

PLAIN = re.compile(
    r"\{(?:count|total|len\([a-z_]+\)|same|several|patients|runs|changed)\} "
    rf"(?:(?:training|validation|synthetic) )?(?:{NOUNS})\b"
)
ABOVE = ("hints.py", "conditions.py", "images.py")
"""Files whose counts are of two and more, or of what somebody else has just counted."""


@pytest.mark.parametrize("count", [0, 1, 2, 64])
def test_a_count_agrees_with_its_noun_and_its_verb(count):
    one = count == 1
    assert many(count, "copy", "is/are") == f"{count} {'copy is' if one else 'copies are'}"
    assert (
        some(count, 64, "image", "has/have") == f"{count} of 64 images {'has' if one else 'have'}"
    )


def test_notes_reasons_and_tables_count_by_that_rule():
    folders = [
        Path(memtk.__file__).parent / name for name in ("data", "cli", "results", "auditing")
    ]
    files = [path for folder in folders for path in folder.rglob("*.py") if path.name not in ABOVE]
    found = [
        f"{path.name}: {each[0]}" for path in files for each in PLAIN.finditer(path.read_text())
    ]
    assert len(files) > 40 and not found


def test_so_do_the_texts_of_plugins():
    nouns = (
        f"{NOUNS}|steps|channels|prompts|draws|values|numbers|voxels|features|neighbours|regions"
    )
    plain = re.compile(rf"\{{([^{{}}'\"]+)\}} (?:(?:training|validation|real) )?(?:{nouns})\b")
    plugins = Path(memtk.__file__).parents[1] / "plugins"
    found = {each[1] for path in plugins.rglob("*.py") for each in plain.finditer(path.read_text())}
    two_and_more = {
        *("len(folders)", "len(channels)", "len(many)", "len(files)", "patients", "size", "count"),
        "MOST:,",
    }
    groups = {"side", "against"}
    assert found == two_and_more | groups


def test_tables_in_a_list_of_settings_are_named_in_words():
    words = [{"name": "view", "words": ["AP", "PA"]}, {"name": "age", "words": []}]
    assert flatten({"conditions": words}) == [("conditions", "view (AP, PA), age")]
    odd = flatten({"a": [{"b": None, "c": (1, 2)}], "d": [True, {}], "e": [[{"name": "x"}]]})
    assert not re.search(r"[{}'\[\]]|None|True", " ".join(text for _, text in odd))


def test_a_mistyped_command_is_guessed():
    for word, meant in {"adit": "audit", "benhc": "bench", "leaderbord": "leaderboard"}.items():
        said = CliRunner().invoke(cli, [word])
        assert said.exit_code == 2 and f"Did you mean '{meant}'?" in said.output
