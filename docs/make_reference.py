"""Writes the pages of docs/reference/ that are made from the code."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
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

FOLDER = Path(__file__).parent / "reference"
MADE = "<!-- made by `make docs`; change the code instead -->\n\n"


def pages() -> dict[str, str]:
    """Return the text of each page by its file name."""
    registry = open_registry()
    return {
        "hooks.md": MADE + _hooks(),
        "commands.md": MADE + _commands(),
        "settings.md": MADE + _settings(registry),
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
