"""Writes the package of a plugin that installs and passes its own tests at once."""

from __future__ import annotations

import importlib.util
import keyword
import re
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from memtk.component import KINDS
from memtk.errors import UserError, did_you_mean
from memtk.folders import making
from memtk.registry import Registry

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

NOUNS = {
    "generator": ("generator", "Draws every voxel from its own mean and spread."),
    "embedder": ("embedder", "A small network that lays an image near its noisy self."),
    "similarity": ("similarity", "Minus the mean absolute difference of two embeddings."),
    "mitigation": ("mitigation", "Adds noise to the training images."),
    "reader": ("reader", "A small text format: height, width, voxels."),
    "quality": ("quality metric", "Contrast of synthetic images, beside that of real ones."),
    "attack": ("membership attack", "Minus the model's own denoising loss at one time."),
    "protocol": ("protocol", "Training images nearer to a synthetic image than all to strangers."),
    "report": ("report section", "How near the nearest training image is."),
}
"""What each kind is called, and what the component of the skeleton does."""

USES = {
    "generator": "memtk bench --generator {name} --preset smoke",
    "embedder": "memtk bench --embedder {name} --preset smoke",
    "similarity": "memtk bench --similarity {name} --preset smoke",
    "mitigation": "memtk bench --mitigation {name} --preset smoke",
    "reader": "memtk plugins test {name} --example FILE",
    "quality": "memtk bench --quality {name} --preset smoke",
    "attack": "memtk bench --attack {name} --preset smoke",
    "protocol": "memtk bench --preset smoke",
    "report": "memtk bench --preset smoke",
}
"""How it is used once it is installed."""


def write_skeleton(
    name: str, registry: Registry, kind: str = "generator", folder: Path | None = None
) -> tuple[Path, ...]:
    """Write a package that brings one component, whole or not at all; return its files.

    Args:
        name: of the component, the plugin and the package; "my-model" is imported as `my_model`.
        registry: whose names are taken.
        folder: where to; a folder called `name` in the current one by default.

    Raises:
        UserError: if the name is malformed or taken, or the folder is there already.
    """
    if kind not in KINDS:
        raise UserError(
            f"unknown kind {kind!r}: there are {', '.join(KINDS)}.{did_you_mean(kind, KINDS)}"
        )
    _check_name(name, registry)
    folder = Path(name) if folder is None else folder
    if folder.exists() or folder.is_symlink():
        raise UserError(
            f"{folder} is there already: nothing was written. Say another folder: "
            f"memtk plugins new {name} FOLDER"
        )
    contents = _contents(name, kind)
    with making(folder) as made:
        for path, text in contents.items():
            (made / path).parent.mkdir(parents=True, exist_ok=True)
            (made / path).write_text(text, encoding="utf-8", newline="\n")
    return tuple(folder / path for path in contents)


def _contents(name: str, kind: str) -> dict[str, str]:
    """Return the text of each file by its path in the package."""
    module = name.replace("-", "_")
    noun, summary = NOUNS[kind]
    told = {
        "name": name,
        "module": module,
        "cls": "".join(part.capitalize() for part in name.split("-")),
        "kind": kind,
        "file": kind,
        "hook": KINDS[kind],
        "noun": noun,
        "what": f"{'An' if noun[0] in 'aeiou' else 'A'} {noun}",
        "summary": summary,
        "use": USES[kind].format(name=name),
    }
    sources = {
        "pyproject.toml": "pyproject.toml.jinja",
        "README.md": "README.md.jinja",
        f"{module}/__init__.py": "init.py.jinja",
        f"{module}/{kind}.py": f"{kind}.py.jinja",
        f"{module}/cases.py": "cases.py.jinja",
        "tests/test_rules.py": "test_rules.py.jinja",
    }
    # plain text, no HTML: nothing is to be escaped
    environment = Environment(
        autoescape=False, undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=False
    )
    folder = files("memtk.skeleton") / "templates"
    return {
        path: environment.from_string((folder / source).read_text("utf-8")).render(told)
        for path, source in sources.items()
    }


def _check_name(name: str, registry: Registry) -> None:
    module = name.replace("-", "_")
    if not NAME.fullmatch(name) or keyword.iskeyword(module):
        raise UserError(
            f"{name!r} is no name for a plugin: use lower case letters, digits and single hyphens, "
            "and a letter first, as in my-model"
        )
    if name in KINDS:
        raise UserError(f"{name!r} is a kind, no name: memtk plugins new NAME --kind {name}")
    for kind in KINDS:
        for entry in registry.entries(kind):
            if entry.name == name:
                raise UserError(
                    f"there is a {kind} {name!r} already, of {entry.plugin.distribution}: choose "
                    "another name"
                )
    for plugin in registry.host.plugins:
        if name in (plugin.name, plugin.distribution):
            raise UserError(
                f"there is a plugin {plugin.name!r} of {plugin.distribution} already: choose "
                "another name"
            )
    if importlib.util.find_spec(module) is not None:
        raise UserError(
            f"there is a Python package {module!r} already, and the plugin would hide it: choose "
            "another name"
        )
