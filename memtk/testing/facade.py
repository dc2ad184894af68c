"""All checks of a component at once; the first rule that is broken ends them."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from memtk.component import KINDS
from memtk.config import merge
from memtk.errors import PluginError, UserError, did_you_mean, one_line
from memtk.interfaces import ImageSpec
from memtk.registry import Entry, Registry
from memtk.testing.assertions import TOLERANCE, DoesNotApply
from memtk.testing.case import FLAT, SEES_IMAGES, SPEC, Case
from memtk.testing.checks import CHECKS
from memtk.testing.registration import REGISTRATION

_, *OF_THE_RECORD = REGISTRATION
"""What needs an installed plugin that brings the component."""


def check_all(case: Case) -> None:
    """Run every check of the case's kind but those of its registration by a plugin.

    Raises:
        AssertionError: at the first rule that is broken, in one sentence.
    """
    for check in CHECKS[case.kind]:
        if check not in OF_THE_RECORD:
            with suppress(DoesNotApply):
                check(case)


def check_generator(
    cls: type,
    config: Mapping[str, Any] | None = None,
    spec: ImageSpec = SPEC,
    images: Tensor | None = None,
    *,
    tolerance: float = TOLERANCE,
) -> None:
    """Train a generator a little, sample it, and check all that memtk relies on.

    Args:
        config: settings by name, on top of the preset `smoke`.
        spec: shape of the images, small; for a generator of 2D images `ImageSpec((32, 32))`.
        images: its training set, (N, C, *S) in [-1, 1], four or more; smooth noise by default.
        tolerance: how far a sample may move with the batch it is drawn in, relative to 1.

    Raises:
        AssertionError: at the first rule that is broken, in one sentence.
    """
    check_all(Case(cls, config or {}, spec, images, tolerance=tolerance, kind="generator"))


def check_embedder(
    cls: type,
    config: Mapping[str, Any] | None = None,
    spec: ImageSpec = SPEC,
    images: Tensor | None = None,
    *,
    tolerance: float = TOLERANCE,
) -> None:
    """Train an embedder a little, embed with it, and check all that memtk relies on.

    See `check_generator`.
    """
    check_all(Case(cls, config or {}, spec, images, tolerance=tolerance, kind="embedder"))


def check_similarity(cls: type, *, tolerance: float = TOLERANCE) -> None:
    """Check that a similarity can be tiled, and that nothing is more like a row than itself.

    Args:
        cls: made as `cls()`.
        tolerance: how far a value may move with its tile, relative to the largest one.

    Raises:
        AssertionError: at the first rule that is broken, in one sentence.
    """
    check_all(Case(cls, tolerance=tolerance, kind="similarity"))


def check_mitigation(
    cls: type,
    config: Mapping[str, Any] | None = None,
    spec: ImageSpec = SPEC,
    images: Tensor | None = None,
    *,
    whole_patients: bool = False,
    tolerance: float = TOLERANCE,
) -> None:
    """Check each of a mitigation's methods.

    Args:
        config: settings by name.
        spec: shape of the images, small.
        images: (N, C, *S) in [-1, 1], four or more; smooth noise by default.
        whole_patients: check as well that `choose` keeps all images of a patient or none.
        tolerance: how far an augmented image may move with the batch, relative to 1.

    Raises:
        AssertionError: at the first rule that is broken, in one sentence.
    """
    case = Case(
        cls,
        config or {},
        spec,
        images,
        whole_patients=whole_patients,
        tolerance=tolerance,
        kind="mitigation",
    )
    check_all(case)


def check_reader(cls: type, path: Path) -> None:
    """Read a sound file and damaged copies of it.

    Args:
        cls: made as `cls()`.
        path: a file of that format (or the folder of a series); it is not changed.

    Raises:
        AssertionError: at the first rule that is broken, in one sentence.
    """
    check_all(Case(cls, example=Path(path), kind="reader"))


def check_quality_metric(
    cls: type, config: Mapping[str, Any] | None = None, spec: ImageSpec = SPEC
) -> None:
    """Measure two small sets of images, or of features.

    Args:
        cls: made as `cls(config)` where it has a `Config`, else as `cls()`.
        config: settings by name.
        spec: shape of the images, small.

    Raises:
        AssertionError: at the first rule that is broken, in one sentence.
    """
    check_all(Case(cls, config or {}, spec, kind="quality"))


def check_attack(
    cls: type, config: Mapping[str, Any] | None = None, spec: ImageSpec = SPEC
) -> None:
    """Attack a generator that has memorized its training images.

    See `check_quality_metric`.
    """
    check_all(Case(cls, config or {}, spec, kind="attack"))


def check_report_section(cls: type) -> None:
    """Let a section write about results with hostile names.

    Args:
        cls: made as `cls()`.

    Raises:
        AssertionError: at the first rule that is broken, in one sentence.
    """
    check_all(Case(cls, kind="report"))


@dataclass(frozen=True)
class Found:
    """The components that a name stands for, and what is wrong with plugins that bring them."""

    entries: tuple[Entry, ...]
    complaints: tuple[str, ...]


def find(registry: Registry, name: str) -> Found:
    """Return what is called `name`: a plugin, else a package, else a component of any kind.

    Raises:
        UserError: if there is nothing of that name, with the nearest one.
    """
    entries = [entry for kind in KINDS for entry in registry.entries(kind)]
    plugins = registry.host.plugins
    for of in ("name", "distribution"):
        chosen = [plugin for plugin in plugins if getattr(plugin, of) == name]
        if chosen:
            names = {plugin.name for plugin in chosen}
            return Found(
                tuple(e for e in entries if e.plugin in chosen), _complaints(registry, names)
            )
    plugin, slash, short = name.rpartition("/")
    found = [e for e in entries if e.name == short and (not slash or e.plugin.name == plugin)]
    if found:
        return Found(tuple(found), ())
    known = [p.name for p in plugins] + [p.distribution for p in plugins]
    known += [entry.name for entry in entries]
    raise UserError(
        f"there is no plugin, package or component {name!r}.{did_you_mean(name, known)}\n"
        "See what there is with `memtk plugins` and `memtk list`; a package of yours must be "
        "installed first: pip install -e ."
    )


def cases_of(
    entry: Entry, config: Mapping[str, Any] | None = None, example: Path | None = None
) -> list[Case]:
    """Return the cases of a component: its own, or one for each number of axes it works on.

    Args:
        config: settings on top of the case's.
        example: a file for a reader, in place of the case's.

    Raises:
        PluginError: if the cases that it names are not there.
    """
    cases: Iterable[Case] = ()
    if entry.component.cases and not entry.missing:
        cases = _own(entry)
    elif entry.kind in SEES_IMAGES:
        cases = [Case(entry, spec=_shape(dims)) for dims in sorted(entry.component.dims)]
    else:
        cases = [Case(entry)]
    return [
        replace(
            case,
            component=entry,
            entry=entry,
            config=merge(case.config, config or {}),
            example=example or case.example,
        )
        for case in cases
    ]


def _own(entry: Entry) -> list[Case]:
    module, _, attribute = entry.component.cases.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"the cases of {entry.name!r} cannot be imported from {entry.component.cases}: "
            f"{one_line(error)}"
        ) from error
    every = [found] if isinstance(found, Case) else list(found)
    cls = entry.load()
    cases = [case for case in every if case.component is cls]
    if not cases:
        raise PluginError(f"{entry.component.cases} has no Case of {cls.__name__}")
    return cases


def _shape(dims: int) -> ImageSpec:
    return SPEC if dims == 3 else FLAT


def _complaints(registry: Registry, plugins: set[str]) -> tuple[str, ...]:
    begins = tuple(f"plugin {name!r}" for name in plugins)
    return tuple(warning for warning in registry.warnings if warning.startswith(begins))
