"""Every built-in component keeps the rules that memtk asks of anybody's."""

from __future__ import annotations

from dataclasses import replace

from memtk.component import KINDS
from memtk.registry import open_registry
from memtk.testing import conformance
from memtk.testing.facade import cases_of

PER_COMPONENT = {"datasize": {"whole_patients": True}}
"""What is asked of a component beyond what is asked of all."""

ENTRIES = [
    entry
    for kind in KINDS
    for entry in open_registry().entries(kind)
    if entry.plugin.distribution == "memtk"
]
CASES = [
    replace(case, **PER_COMPONENT.get(entry.name, {}))
    for entry in ENTRIES
    for case in cases_of(entry)
]


@conformance(*CASES)
def test_built_in_components_keep_the_rules(check):
    check()


def test_every_reader_brings_an_example_to_be_checked_on():
    readers = [case for case in CASES if case.kind == "reader"]
    assert readers and all(case.example is not None for case in readers)
