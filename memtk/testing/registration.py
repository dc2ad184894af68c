"""What the record of a component must keep to: what memtk knows before it imports the class."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache

from memtk.component import API, KINDS
from memtk.registry import Entry, open_registry
from memtk.testing.case import Case
from memtk.testing.kinds import BASES, missing_parts
from memtk.testing.verdict import applies, expect

HEAVY = ("torch", "monai", "diffusers", "matplotlib", "numpy", "scipy", "pydantic", "pandas")
"""Modules that make `memtk --help` slow. memtk itself imports none of them for it."""

PROGRAM = """
import importlib, json, sys
from memtk import hookspecs
importlib.import_module(sys.argv[1])
print(json.dumps([name for name in json.loads(sys.argv[2]) if name in sys.modules]))
"""


def check_the_plugin_imports_nothing_heavy(case: Case) -> None:
    """The module of the entry point is imported by every command, so it imports records alone."""
    module = _entry(case).plugin.module
    heavy = heavy_imports(module)
    expect(
        not heavy,
        f"{module} imports {', '.join(heavy)}, and every command imports it: import such things in "
        "the modules of the components alone",
    )


def check_its_name_is_its_own(case: Case) -> None:
    """No other component of its kind has its name."""
    entry = _entry(case)
    others = [
        other.plugin
        for other in open_registry().entries(entry.kind)
        if other.name == entry.name and other.component.target != entry.component.target
    ]
    taken = " and ".join(f"{plugin.name} ({plugin.distribution})" for plugin in others)
    expect(
        not others,
        f"{entry.kind} {entry.name!r} is also brought by {taken}: users would have to say "
        f"{entry.plugin.name}/{entry.name}; choose another name",
    )


def check_it_is_written_for_this_interface(case: Case) -> None:
    """Its `api` is this memtk's."""
    entry = _entry(case)
    api = entry.component.api
    expect(
        api == API,
        f"{entry.name!r} is written for plugin interface {api}; this memtk has {API}",
    )


def check_its_summary_is_a_line(case: Case) -> None:
    """`memtk list` shows a line that ends with a full stop."""
    entry = _entry(case)
    summary = entry.component.summary
    expect(
        bool(summary)
        and summary.strip() == summary
        and summary.endswith(".")
        and "\n" not in summary,
        f"the summary of {entry.name!r} is {summary!r}, not a line that ends with a full stop",
    )


def check_its_class_is_of_its_kind(case: Case) -> None:
    """The class is what its hook says it is."""
    cls, kind = case.cls, case.kind
    expect(
        kind in KINDS,
        f"{cls!r} is no component: neither a subclass of Generator, Embedder or Mitigation nor a "
        "class with the methods of another kind",
    )
    if kind in BASES:
        expect(
            isinstance(cls, type) and issubclass(cls, BASES[kind]),
            f"{cls!r} is not a subclass of memtk.interfaces.{BASES[kind].__name__}",
        )
        return
    expect(isinstance(cls, type), f"{cls!r} is not a class")
    missing = missing_parts(kind, cls)
    expect(
        not missing,
        f"{cls.__name__} is no {kind}: it lacks {', '.join(missing)}",
    )


@cache
def heavy_imports(module: str) -> tuple[str, ...]:
    """Return what of `HEAVY` is imported with a module, in a fresh process.

    Raises:
        AssertionError: if it cannot be imported.
    """
    path = os.pathsep.join(part for part in sys.path if part)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, module, json.dumps(HEAVY)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    last = (done.stderr.strip().splitlines() or ["no reason was given"])[-1]
    expect(done.returncode == 0, f"{module} cannot be imported: {last}")
    return tuple(json.loads(done.stdout.splitlines()[-1]))


def _entry(case: Case) -> Entry:
    applies(case.entry is not None, "no installed plugin brings it")
    assert case.entry is not None
    return case.entry


REGISTRATION = (
    check_its_class_is_of_its_kind,
    check_its_name_is_its_own,
    check_it_is_written_for_this_interface,
    check_its_summary_is_a_line,
    check_the_plugin_imports_nothing_heavy,
)
