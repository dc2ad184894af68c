"""Writes the pages of docs/reference/ that are made from the code."""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from itertools import groupby
from math import prod
from pathlib import Path
from types import ModuleType
from typing import Any

import click
from pydantic import BaseModel

from memtk import hookspecs
from memtk.bench.recipe import BenchOptions
from memtk.cli import cli
from memtk.component import KINDS
from memtk.data.config import DataConfig
from memtk.registry import Registry, open_registry
from memtk.results import Policy, audit_schema, decide, json_schema

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from foreign.formats import CASES
from hostile.corpus_of_models import CLASSES

TESTS = Path(__file__).parents[1] / "tests"
FOLDER = Path(__file__).parent / "reference"
MADE = "<!-- made by `make docs`; change the code instead -->\n\n"


def pages() -> dict[str, str]:
    """Return the text of each page by its file name."""
    registry = open_registry()
    return {
        "hooks.md": MADE + _hooks(),
        "commands.md": MADE + _commands(),
        "settings.md": MADE + _settings(registry),
        "formats.md": MADE + _formats(),
        "../concepts/security.md": _security(),
        "policy.md": MADE + _policy(),
        "result.schema.json": json.dumps(json_schema(), indent=2, sort_keys=True) + "\n",
        "audit.schema.json": json.dumps(audit_schema(), indent=2, sort_keys=True) + "\n",
    }


def _hooks() -> str:
    text = f"# Hooks\n\n{inspect.getdoc(hookspecs)}\n"
    for name, function in vars(hookspecs).items():
        if name.startswith("memtk_"):
            signature = str(inspect.signature(function)).replace("'", "")  # of lazy annotations
            text += f"\n## `{name}{signature}`\n\n{inspect.getdoc(function)}\n"
    return text


def _commands() -> str:
    text = "# Commands\n"
    for name, command in [("", cli), *_all(cli)]:
        full = f"memtk {name}".strip()
        context = click.Context(
            command, info_name=full, terminal_width=96, help_option_names=["-h", "--help"]
        )
        text += f"\n## `{full}`\n\n```text\n{command.get_help(context)}\n```\n"
    return text


def _all(group: click.Group, above: str = "") -> list[tuple[str, click.Command]]:
    """Return the commands of a group by their names, each group's own after it."""
    found: list[tuple[str, click.Command]] = []
    context = click.Context(group)
    for name in sorted(group.list_commands(context)):
        command = group.get_command(context, name)
        assert command is not None
        found.append((f"{above}{name}", command))
        if isinstance(command, click.Group):
            found += _all(command, f"{above}{name} ")
    return found


def _policy() -> str:
    keys = Policy().model_dump(exclude_none=True)
    example = "".join(f"{key} = {value}\n" for key, value in keys.items())
    rules = (inspect.getdoc(decide) or "").split("\n\n")
    return (
        "# Policy\n\nWhat is tolerable in an audit, as a table of a TOML file. What a file leaves "
        "out has its default.\n\n```toml\n[policy]\n"
        + example
        + "```\n"
        + _table("policy", Policy)
        + "\n## How the outcome follows\n\nThe rules are fixed before anything is computed.\n\n"
        + rules[1]
        + "\n"
    )


def _settings(registry: Registry) -> str:
    text = "# Settings\n\nKeys for `--set KEY=VALUE` and for the tables of a recipe (`--config`).\n"
    text += _table("bench", BenchOptions) + _table("data", DataConfig)
    for kind in KINDS:
        for entry in registry.entries(kind):
            if entry.plugin.distribution != "memtk":
                continue
            cls = entry.load()
            config = getattr(cls, "Config", None)
            if config is not None and config.model_fields:
                presets = ", ".join(getattr(cls, "presets", {}))
                note = f"{entry.component.summary} Presets: {presets}." if presets else ""
                text += _table(entry.name, config, note or entry.component.summary)
    return text


def _formats() -> str:
    text = (
        "# Formats\n\nWhat becomes of a file, case by case. Each line is a test: the file is made, "
        "and its voxels are compared with those that were written. What is refused is one sentence "
        "that names the file and the way out; exit status 2. What is left out is counted in the "
        "notes of `memtk check`. [Your images](../how-to/your-images.md) says how folders are read."
        "\n"
    )
    for name, group in groupby(CASES.values(), lambda case: case.format):
        text += f"\n## {name[0].upper()}{name[1:]}\n\n| file | outcome |\n|---|---|\n"
        text += "".join(f"| {case.what} | {_outcome(case)} |\n" for case in group)
    return text


def _outcome(case: Any) -> str:
    if case.install:
        return f"read with `pip install {case.install}`; refused without it, with that sentence"
    if not isinstance(case.says, str):
        return "read, nearly: the format loses some" if case.near else "read"
    return case.says if case.says.startswith("left out") else f"refused: \u2026 {case.says} \u2026"


def _security() -> str:
    """Return the page with its counts of hostile files and of tests, taken from these."""
    text = (FOLDER / "../concepts/security.md").read_text(encoding="utf-8")
    begin, end = (text.index(mark) for mark in ("<!-- counts", "<!-- end of counts"))
    begin = text.index("\n", begin) + 1
    table = "\n| class of files | inputs |\n|---|---|\n"
    table += "".join(f"| {kind} | {len(inputs)} |\n" for kind, inputs in CLASSES.items())
    table += f"| **all** | **{sum(map(len, CLASSES.values()))}** |\n"
    table += "\n| other tests | what | cases |\n|---|---|---|\n"
    for path in sorted((TESTS / "hostile").glob("test_*.py")):
        if path.name != "test_corpus.py":
            module = importlib.import_module(f"hostile.{path.stem}")
            said = (inspect.getdoc(module) or "").partition("\n")[0]
            table += f"| `{path.name}` | {said} | {_cases(module)} |\n"
    return text[:begin] + table + "\n" + text[end:]


def _cases(module: ModuleType) -> int:
    """Count the cases of a module's tests: the products of what they are parametrised with."""
    tests = [value for name, value in vars(module).items() if name.startswith("test_")]
    return sum(
        prod(
            len(mark.args[1])
            for mark in getattr(test, "pytestmark", ())
            if mark.name == "parametrize"
        )
        for test in tests
    )


def _table(name: str, config: type[BaseModel], summary: str = "") -> str:
    above = f"{summary}\n\n" if summary else ""
    text = f"\n## `{name}`\n\n{above}| key | default | meaning |\n|---|---|---|\n"
    return text + "".join(_rows(name, config))


def _rows(prefix: str, config: type[BaseModel]) -> list[str]:
    rows: list[str] = []
    for key, field in config.model_fields.items():
        inner: Any = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            rows += _rows(f"{prefix}.{key}", inner)
            continue
        default = "" if field.is_required() else f"`{field.get_default(call_default_factory=True)}`"
        rows.append(f"| `{prefix}.{key}` | {default} | {field.description or ''} |\n")
    return rows


if __name__ == "__main__":
    for file, content in pages().items():
        (FOLDER / file).write_text(content, encoding="utf-8")
