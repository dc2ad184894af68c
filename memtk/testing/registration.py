"""What the record of a component and its settings must keep to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache

from memtk.component import API, KINDS
from memtk.config import build
from memtk.errors import UserError
from memtk.interpreter import required_python
from memtk.registry import Entry, open_registry
from memtk.testing.assertions import applies, expect
from memtk.testing.case import BASES, Case, config_class, make_config, missing_parts

HEAVY = ("torch", "monai", "diffusers", "matplotlib", "numpy", "scipy", "pydantic", "pandas")
"""Modules that make `memtk --help` slow. memtk itself imports none of them for it."""

MOST_SECONDS = 0.5
"""That the import of a plugin may take: hundreds of times what one with records alone does."""

PROGRAM = """
import importlib, json, sys, time
from memtk import hookspecs
start = time.perf_counter()
importlib.import_module(sys.argv[1])
seconds = time.perf_counter() - start
print(json.dumps([seconds, [name for name in json.loads(sys.argv[2]) if name in sys.modules]]))
"""

STRANGE = "no_component_has_a_key_of_this_name"


@dataclass(frozen=True)
class Import:
    """The import of a module in a fresh process: its seconds, and what of `HEAVY` came along."""

    seconds: float
    heavy: tuple[str, ...]


@cache
def import_of(module: str) -> Import:
    """Import a module; of up to three times the quickest counts, a busy machine delays some.

    Raises:
        AssertionError: if it cannot be imported.
    """
    found = _imported(module)
    for _ in range(2):
        if found.seconds > MOST_SECONDS:
            found = min(found, _imported(module), key=lambda each: each.seconds)
    return found


def _imported(module: str) -> Import:
    path = os.pathsep.join(part for part in sys.path if part)
    done = subprocess.run(
        [required_python("the test of an import"), "-c", PROGRAM, module, json.dumps(HEAVY)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    last = (done.stderr.strip().splitlines() or ["no reason was given"])[-1]
    expect(done.returncode == 0, f"{module} cannot be imported: {last}")
    seconds, heavy = json.loads(done.stdout.splitlines()[-1])
    return Import(seconds, tuple(heavy))


def check_the_plugin_imports_nothing_heavy(case: Case) -> None:
    """The module of the entry point is imported by every command, so it imports records alone."""
    module = _entry(case).plugin.module
    heavy = import_of(module).heavy
    expect(
        not heavy,
        f"{module} imports {', '.join(heavy)}, and every command imports it: import such things in "
        "the modules of the components alone",
    )


def check_the_plugin_is_imported_at_once(case: Case) -> None:
    """The module of the entry point is imported by every command: it opens and computes nothing."""
    module = _entry(case).plugin.module
    seconds = import_of(module).seconds
    expect(
        seconds <= MOST_SECONDS,
        f"the import of {module} takes {seconds:.1f} s, and every command waits for it: open, "
        "compute and ask for things in the modules of the components alone",
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


def _entry(case: Case) -> Entry:
    applies(case.entry is not None, "no installed plugin brings it")
    assert case.entry is not None
    return case.entry


def check_config_is_a_component_config(case: Case) -> None:
    """Its `Config` is a frozen pydantic model that memtk can show and store."""
    _has_config(case)
    config_class(case.cls)


def check_presets_fit_the_config(case: Case) -> None:
    """Every preset can be built, `smoke` above all."""
    _has_config(case)
    for preset in {"smoke": {}, **getattr(case.cls, "presets", {})}:
        make_config(case.cls, case.config, preset)


def check_unknown_keys_are_refused(case: Case) -> None:
    """A mistyped key is an error, never ignored."""
    _has_config(case)
    made = make_config(case.cls, case.config)
    try:
        build(type(made), made.model_dump(), {STRANGE: 1})
    except UserError:
        return
    raise AssertionError(f"{case.cls.__name__}.Config takes an unknown key; it must refuse it")


def check_config_comes_back_from_its_dump(case: Case) -> None:
    """What a result records builds the same configuration again, through JSON too."""
    _has_config(case)
    made = make_config(case.cls, case.config)
    stored = json.loads(json.dumps(made.model_dump(mode="json")))
    for dump, what in ((made.model_dump(), "its dump"), (stored, "its dump in JSON")):
        again = type(made).model_validate(dump)
        expect(
            again == made, f"{case.cls.__name__}.Config is not equal to what is built from {what}"
        )


def _has_config(case: Case) -> None:
    applies(hasattr(case.cls, "Config"), "it has no settings")


REGISTRATION = (
    check_its_class_is_of_its_kind,
    check_its_name_is_its_own,
    check_it_is_written_for_this_interface,
    check_its_summary_is_a_line,
    check_the_plugin_imports_nothing_heavy,
    check_the_plugin_is_imported_at_once,
)

SETTINGS = (
    check_config_is_a_component_config,
    check_presets_fit_the_config,
    check_unknown_keys_are_refused,
    check_config_comes_back_from_its_dump,
)
