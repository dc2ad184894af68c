"""All roads keep the rules of memtk: one test a rule."""

from __future__ import annotations

from memtk_roads.cases import CASES, ROADS

from memtk.testing import conformance


@conformance(*CASES, *ROADS)
def test_the_roads_keep_the_rules(check):
    check()
