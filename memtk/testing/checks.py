"""All checks, by the kind of component, and how they are run: one by one, or under pytest."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from memtk.component import KINDS
from memtk.errors import PluginError, UserError, did_you_mean, is_failure, one_line
from memtk.testing import (
    attacks,
    mitigations,
    protocols,
    quality,
    readers,
    sections,
    similarities,
)
from memtk.testing.assertions import DoesNotApply
from memtk.testing.case import Case
from memtk.testing.models import EMBEDDER, GENERATOR
from memtk.testing.registration import REGISTRATION, SETTINGS, check_its_class_is_of_its_kind

Check = Callable[[Case], None]


def _in(module: ModuleType) -> tuple[Check, ...]:
    """Return the checks that a module defines, in its order."""
    checks = (each for name, each in vars(module).items() if name.startswith("check_"))
    return tuple(check for check in checks if check.__module__ == module.__name__)


CHECKS: dict[str, tuple[Check, ...]] = {
    "generator": (*REGISTRATION, *GENERATOR),
    "embedder": (*REGISTRATION, *EMBEDDER),
    "similarity": (*REGISTRATION, *_in(similarities)),
    "mitigation": (*REGISTRATION, *SETTINGS, *_in(mitigations)),
    "reader": (*REGISTRATION, *_in(readers)),
    "quality": (*REGISTRATION, *SETTINGS, *_in(quality)),
    "attack": (*REGISTRATION, *SETTINGS, *_in(attacks)),
    "protocol": (*REGISTRATION, *_in(protocols)),
    "report": (*REGISTRATION, *_in(sections)),
}
"""The checks of each kind, in the order in which they are run: what others rest on comes first."""

assert CHECKS.keys() == KINDS.keys()


def name_of(check: Check) -> str:
    """Return the name of a check: its function's, without `check_`.

    >>> name_of(CHECKS["similarity"][-1])
    'duplicates_change_nothing'
    """
    return check.__name__.removeprefix("check_")


def checks_of(kind: str) -> dict[str, Check]:
    """Return the checks of a kind by name; none for an unknown kind but that of its class."""
    return {name_of(check): check for check in CHECKS.get(kind, REGISTRATION[:1])}


def find_check(name: str, kinds: list[str]) -> str:
    """Return the full name of a check of one of these kinds; spaces and hyphens are allowed.

    Raises:
        UserError: if there is none, with the nearest name.
    """
    wanted = name.strip().removeprefix("check_").replace("-", "_").replace(" ", "_")
    known = list(dict.fromkeys(known for kind in kinds for known in checks_of(kind)))
    if wanted in known:
        return wanted
    raise UserError(
        f"there is no check {name!r} for {', '.join(kinds)}.{did_you_mean(wanted, known)}\n"
        "See all with --list."
    )


@dataclass(frozen=True)
class Outcome:
    """One check of one case.

    Args:
        status: "passed", "failed", "known" (it failed, as the case says) or "skipped".
        why: one sentence, unless it passed.
    """

    case: Case
    check: str
    status: Literal["passed", "failed", "known", "skipped"]
    why: str = ""
    seconds: float = 0.0


def run_checks(case: Case, names: Iterable[str] = ()) -> list[Outcome]:
    """Run the checks of a case, or those of these names."""
    return [run_check(case, name) for name in names or checks_of(case.kind)]


def run_check(case: Case, name: str) -> Outcome:
    """Run one check; what it raises becomes an outcome."""
    start = time.perf_counter()
    status, why = _run(case, name)
    reason = case.known.get(name)
    if reason is not None and status == "failed":
        status, why = "known", f"{reason} ({why})"
    elif reason is not None and status == "passed":
        status, why = (
            "failed",
            f"it passes, and is a known failure: {reason!r}; take it off `known`",
        )
    return Outcome(case, name, status, why, time.perf_counter() - start)


def call_check(case: Case, name: str) -> None:
    """Run one check and pass on what it raises.

    Raises:
        AssertionError: if the rule is broken, in one sentence.
        DoesNotApply: if there is nothing to check, or the case cannot be made.
    """
    check = checks_of(case.kind)[name]
    loads = check not in REGISTRATION or check is check_its_class_is_of_its_kind
    if loads and case.entry is not None and case.entry.missing:
        command = case.entry.component.install or f"pip install {' '.join(case.entry.missing)}"
        raise DoesNotApply(f"it needs {', '.join(case.entry.missing)}: {command}")
    if check not in REGISTRATION and case.lacking:
        raise DoesNotApply(case.lacking)
    check(case)


def unknown_known(case: Case) -> str:
    """Return what is wrong with the names of the known failures of a case; empty if nothing."""
    for name in case.known:
        if name not in checks_of(case.kind):
            return (
                f"{case.title} lists a known failure of a check {name!r}, which there is not."
                f"{did_you_mean(name, checks_of(case.kind))}"
            )
    return ""


def _run(case: Case, name: str) -> tuple[Literal["passed", "failed", "known", "skipped"], str]:
    try:
        call_check(case, name)
    except DoesNotApply as reason:
        return "skipped", str(reason)
    except AssertionError as error:
        return "failed", " ".join(str(error).split()) or "an assertion of its own failed"
    except (PluginError, UserError) as error:
        return "failed", " ".join(str(error).split())
    except BaseException as error:
        if not is_failure(error):
            raise
        return "failed", f"it raises {one_line(error)}{_place(case, error)}"
    return "passed", ""


def _place(case: Case, error: BaseException) -> str:
    """Return the last line of the component's own package that an error went through."""
    package = str(getattr(case.cls, "__module__", "")).partition(".")[0]
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] == package:
            return f" ({Path(frame.f_code.co_filename).name}, line {line})"
    return ""


def conformance(*cases: Case) -> Callable[[Any], Any]:
    """Parametrize a test with the checks of components.

    The test gets `check`, a function without arguments::

        @conformance(Case(MyGenerator), Case(MyReader, example=write_one))
        def test_components_keep_the_rules(check):
            check()

    A check that does not apply is skipped. A failure that a case lists as known is expected, with
    its reason; if it passes, the test fails (`xfail(strict=True)`).

    Raises:
        ValueError: if a case lists a known failure of a check that there is not.
    """
    import pytest

    parameters = []
    for case in cases:
        complaint = unknown_known(case)
        if complaint:
            raise ValueError(complaint)
        for name in checks_of(case.kind):
            known = case.known.get(name)
            marks = [] if known is None else [pytest.mark.xfail(reason=known, strict=True)]
            run = partial(_check, case, name)
            parameters.append(
                pytest.param(run, id=f"{case.title.replace(' ', '-')}-{name}", marks=marks)
            )
    return pytest.mark.parametrize("check", parameters)


def _check(case: Case, name: str) -> None:
    import pytest

    try:
        call_check(case, name)
    except DoesNotApply as reason:
        pytest.skip(str(reason))
