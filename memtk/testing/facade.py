"""All checks of a component at once; the first rule that is broken ends them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import Tensor

from memtk.interfaces import ImageSpec
from memtk.testing.assertions import TOLERANCE, DoesNotApply
from memtk.testing.case import SPEC, Case
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
