"""The checks under pytest: one test a check."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from memtk.testing.case import Case
from memtk.testing.checks import checks_of
from memtk.testing.outcome import call_check, unknown_known
from memtk.testing.verdict import DoesNotApply


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
