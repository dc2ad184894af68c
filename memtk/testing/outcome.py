"""What came of a check."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from memtk.errors import PluginError, UserError, did_you_mean, one_line
from memtk.testing.case import Case
from memtk.testing.checks import checks_of
from memtk.testing.registration import REGISTRATION, check_its_class_is_of_its_kind
from memtk.testing.verdict import DoesNotApply


@dataclass(frozen=True)
class Outcome:
    """One check of one case.

    Args:
        case: that was checked.
        check: its name.
        status: "passed", "failed", "known" (it failed, as the case says) or "skipped".
        why: one sentence, unless it passed.
        seconds: it took.
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
    except Exception as error:
        return "failed", f"it raises {one_line(error)}{_place(case, error)}"
    return "passed", ""


def _place(case: Case, error: Exception) -> str:
    """Return the last line of the component's own package that an error went through."""
    package = str(getattr(case.cls, "__module__", "")).partition(".")[0]
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] == package:
            return f" ({Path(frame.f_code.co_filename).name}, line {line})"
    return ""
