"""Every component keeps the rules of memtk: one test a rule."""

from __future__ import annotations

from memtk_example.cases import CASES

from memtk.testing import conformance


@conformance(*CASES)
def test_the_components_keep_the_rules(check):
    check()
